"""`hiveguard label-studio`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiveguard_pipeline.cli.label_studio_rows import (
    PULL_COLUMNS,
    PUSH_COLUMNS,
    pull_row,
    push_row,
    report_rows,
    say_pull,
    say_push,
)
from hiveguard_pipeline.cli.shared import (
    dataset_option,
    emit,
    fmt_option,
    open_store,
    progress,
    required_dataset,
    say,
)
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets

if TYPE_CHECKING:
    from hiveguard_pipeline.labelstudio.server import Server

LONGEST_GUIDE = 1 << 20
"""Bytes of a labelling guide."""

source_option = click.option(
    "--from",
    "source",
    type=click.Choice(["queue", "review", "all"]),
    default="queue",
    show_default=True,
    help="Which items: the labelling queue in its order, the review list, or the whole pool.",
)
blind_option = click.option(
    "--blind-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the items with a proposal that are sent without it, for the report.",
)
root_option = click.option(
    "--media-root", metavar="URL", help="Where relative data_refs lie: an address that a browser opens."
)


@click.group("label-studio")
def label_studio() -> None:
    """Send items to Label Studio, and take what people answer there."""


@label_studio.command()
@required_dataset
@source_option
@click.option(
    "--guide",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The labelling guide, a text: it becomes the project's instructions.",
)
@blind_option
@root_option
@click.option("--hotkeys", is_flag=True, help="Keys 1 to 9 for the first classes.")
@click.option(
    "--answers",
    type=click.IntRange(1),
    help="People that a task is given to; a new project takes CONSENSUS_THRESHOLD.",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many new tasks.")
@click.option("--project", "project_id", type=int, help="A project that is there, for a dataset without one.")
@fmt_option
def push(
    dataset_name: str,
    source: str,
    guide: Path | None,
    blind_share: float,
    media_root: str | None,
    hotkeys: bool,
    answers: int | None,
    limit: int | None,
    project_id: int | None,
    fmt: str,
) -> None:
    """Make or update the dataset's project, and send the items that are not there, with proposals.

    A second push adds nothing. True labels are never sent.
    """
    from hiveguard_pipeline.labelstudio.push import push as push_items

    text = None if guide is None else _guide(guide)
    database = open_store()
    with progress("sending", "tasks") as report:
        done = push_items(
            database,
            _server(),
            dataset_name,
            source=source,
            guide=text,
            blind_share=blind_share,
            media_root=media_root,
            hotkeys=hotkeys,
            answers=answers,
            limit=limit,
            project_id=project_id,
            report=report,
        )
    emit([push_row(dataset_name, done)], PUSH_COLUMNS, fmt)
    say_push(done, dataset_name, source)


@label_studio.command()
@required_dataset
@click.option("--decide", is_flag=True, help="Answers to tasks of the review list decide their items.")
@click.option("--full", is_flag=True, help="Look at all annotations, not at what changed since.")
@fmt_option
def pull(dataset_name: str, decide: bool, full: bool, fmt: str) -> None:
    """Take annotations as votes; follow those that were changed or deleted since."""
    from hiveguard_pipeline.labelstudio.pull import pull as pull_annotations

    done = pull_annotations(open_store(), _server(), dataset_name, decide=decide, full=full)
    emit([pull_row(dataset_name, done)], PULL_COLUMNS, fmt)
    say_pull(done, dataset_name)


@label_studio.command()
@required_dataset
@source_option
@blind_option
@root_option
@fmt_option
def sync(dataset_name: str, source: str, blind_share: float, media_root: str | None, fmt: str) -> None:
    """Pull, then push."""
    from hiveguard_pipeline.labelstudio.sync import sync as sync_project

    done = sync_project(
        open_store(),
        _server(),
        dataset_name,
        source=source,
        blind_share=blind_share,
        media_root=media_root,
    )
    row = push_row(dataset_name, done.pushed)
    if done.pulled is not None:
        row = pull_row(dataset_name, done.pulled) | row
    columns = list(dict.fromkeys([*PULL_COLUMNS, *PUSH_COLUMNS]))
    emit([{name: row.get(name, 0) for name in columns}], columns, fmt)
    if done.pulled is not None:
        say_pull(done.pulled, dataset_name)
    say_push(done.pushed, dataset_name, source)


@label_studio.command()
@dataset_option
@fmt_option
def status(dataset_name: str | None, fmt: str) -> None:
    """Projects, tasks and annotations as they are recorded; no server is asked."""
    from hiveguard_pipeline.labelstudio.status import Status, status_of

    with open_store().read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
        found = [status_of(connection, dataset) for dataset in chosen]
    rows = [asdict(one) for one in found if one is not None]
    emit(rows, list(Status.__dataclass_fields__), fmt)
    if not rows:
        say("no dataset has a project: `hiveguard label-studio push --dataset NAME` makes one")


@label_studio.command()
@required_dataset
@fmt_option
def report(dataset_name: str, fmt: str) -> None:
    """What proposals do: how often they are followed, wrong ones too, and the time they save."""
    from hiveguard_pipeline.labelstudio.proposal_report import proposal_report

    with open_store().read() as connection:
        found = proposal_report(connection, get_dataset(connection, dataset_name))
    rows = [
        *report_rows("shown", found.shown),
        *report_rows("blind", found.blind),
    ]
    emit(rows, ["proposal", "figure", "answers", "value", "low", "high"], fmt)
    if not found.shown.answers and not found.blind.answers:
        say(f"no answer to an item of {dataset_name} with a proposal came by way of Label Studio yet")
    elif not found.blind.answers:
        say("no item was blind: without a blind share (push --blind-share) there is nothing to compare with")


@label_studio.command()
@required_dataset
def forget(dataset_name: str) -> None:
    """Let go of a dataset's project, on a server that is no more; votes and labels stay."""
    from hiveguard_pipeline.labelstudio.projects import forget as let_go

    database = open_store()
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
    tasks = let_go(database, dataset)
    say(f"{dataset_name} has no Label Studio project any more; {tasks:,} tasks were forgotten")


def _server() -> "Server":
    from hiveguard_pipeline.labelstudio.client import open_client
    from hiveguard_pipeline.labelstudio.server import Server

    return Server(open_client(Settings.from_environment()))


def _guide(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    if len(content) > LONGEST_GUIDE:
        raise BadInputError(f"{path}: a guide has at most {LONGEST_GUIDE >> 20} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: a guide is a UTF-8 text") from None
    if not text.strip():
        raise BadInputError(f"{path}: the guide is empty")
    return text
