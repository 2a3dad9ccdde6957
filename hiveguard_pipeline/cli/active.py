"""`hiveguard active`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiveguard_pipeline.cli.shared import (
    confidence,
    emit,
    fmt_option,
    open_store,
    progress,
    required_dataset,
    say,
)
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.datasets import get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.learning.queue import Queue
    from hiveguard_pipeline.learning.recorded import RecordedModel

_MODELS = [
    "model_id",
    "kind",
    "name",
    "accepted",
    "accuracy",
    "held_out",
    "labels_used",
    "classes",
    "schema_version",
    "proposes",
    "reason",
    "created_at",
]
_QUEUE = ["rank", "item_id", "external_id", "data_ref", "score", "votes"]
_FOLLOWED = ["proposals", "shown", "decisions", "followed", "share", "low", "high"]


@click.group()
def active() -> None:
    """Choose what to ask next; train, add and list models; see how far people follow proposals."""


@active.command()
@required_dataset
@click.argument("given", nargs=-1, metavar="[KEY=VALUE]...")
@fmt_option
def settings(dataset_name: str, given: tuple[str, ...], fmt: str) -> None:
    """Show the settings of a dataset's active learning; change those that are given (KEY= takes one back)."""
    from hiveguard_pipeline.learning.settings import active_settings, set_active_settings

    database = open_store()
    if given:
        changed = {}
        for entry in given:
            key, equals, value = entry.partition("=")
            if not equals:
                raise click.UsageError(f"{entry!r} is not KEY=VALUE")
            changed[key] = value
        found = set_active_settings(database, dataset_name, changed)
    else:
        with database.read() as connection:
            found = active_settings(connection, get_dataset(connection, dataset_name))
    rows = [{"setting": key, "value": value} for key, value in found.values().items()]
    emit(rows, ["setting", "value"], fmt)


@active.command()
@required_dataset
@click.option("--strategy", metavar="S", help="hybrid, uncertainty, committee, diversity or random.")
@click.option("--n", type=click.IntRange(1), help="How many. [default: query_batch_size]")
@click.option("--seed", type=click.IntRange(0), help="Choose the same again.")
@click.option(
    "--scores",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Choose by scores of your own: CSV or JSONL with item_id or external_id, and score (high: first).",
)
@fmt_option
def select(
    dataset_name: str, strategy: str | None, n: int | None, seed: int | None, scores: Path | None, fmt: str
) -> None:
    """Choose what to ask next, and make it the labelling queue of the dataset."""
    from hiveguard_pipeline.learning.choosing import select_items

    with progress("looking at items", "items") as report:
        made = select_items(
            open_store(),
            dataset_name,
            Settings.from_environment().model_root,
            strategy=strategy,
            n=n,
            seed=seed,
            scores=scores,
            report=report,
        )
    _print_queue(made, fmt)


@active.command()
@required_dataset
@fmt_option
def queue(dataset_name: str, fmt: str) -> None:
    """List the labelling queue: the items of the newest choice that have no label yet."""
    from hiveguard_pipeline.learning.queue import queue_of

    with open_store().read() as connection:
        found = queue_of(connection, get_dataset(connection, dataset_name))
    if found is None:
        say(f"nothing was chosen yet: `hiveguard active select --dataset {dataset_name}`")
        emit([], _QUEUE, fmt)
        return
    _print_queue(found, fmt)


def _print_queue(found: "Queue", fmt: str) -> None:
    by = "" if found.model_id is None else f" by model {found.model_id}"
    unsure = "" if found.uncertainty_mean is None else f", mean uncertainty {found.uncertainty_mean:.3f}"
    say(
        f"selection {found.selection_id} of {found.created_at}: {found.strategy}{by}, {found.wanted:,} wanted"
        f" of {found.pool_size:,} items, {found.labelled:,} labelled{unsure}; {len(found.rows):,} wait"
    )
    for note in found.notes:
        say(f"note: {note}")
    if found.stale:
        say(f"stale: {found.stale}")
    emit([asdict(row) for row in found.rows], _QUEUE, fmt)


@active.command()
@required_dataset
@fmt_option
def train(dataset_name: str, fmt: str) -> None:
    """Train the weak model on the labels as they are; it is taken unless it is worse than the last model."""
    from hiveguard_pipeline.learning.training import train_weak_model

    with progress("making features", "items") as report:
        done = train_weak_model(
            open_store(), dataset_name, Settings.from_environment().model_root, report=report
        )
    _print_model(done, fmt)


@active.command()
@required_dataset
@fmt_option
def prelabel(dataset_name: str, fmt: str) -> None:
    """Propose an answer for each item that people will see; a proposal is never a vote."""
    from hiveguard_pipeline.learning.prelabels import prelabel as propose

    with progress("proposing", "items") as report:
        done = propose(open_store(), dataset_name, Settings.from_environment().model_root, report=report)
    if done.why_not is not None:
        say(f"no proposals: {done.why_not}")
    for why, count in sorted(done.without.items()):
        say(f"without a proposal, {why}: {count:,} items")
    row = {
        "dataset": dataset_name,
        "model_id": None if done.model is None else done.model.model_id,
        "proposals": done.proposals,
        "blind": done.blind,
    }
    emit([row], list(row), fmt)


@active.command()
@required_dataset
@fmt_option
def models(dataset_name: str, fmt: str) -> None:
    """List the models of a dataset, newest first; the one that proposes is said."""
    from hiveguard_pipeline.learning.recorded import accepted_model, list_models, why_stale

    with open_store().read() as connection:
        dataset = get_dataset(connection, dataset_name)
        found = list_models(connection, dataset)
        proposes = accepted_model(connection, dataset)
    if proposes is not None and (stale := why_stale(proposes, dataset)) is not None:
        say(f"{stale}; train or add another")
        proposes = None
    rows = [_model_row(row, proposes is not None and row.model_id == proposes.model_id) for row in found]
    emit(rows, _MODELS, fmt)


def _model_row(row: "RecordedModel", proposes: bool) -> dict[str, Any]:
    return {name: getattr(row, name, None) for name in _MODELS} | {
        "accuracy": confidence(row.accuracy),
        "classes": len(row.classes),
        "proposes": proposes,
    }


@active.group()
def model() -> None:
    """Bring in models of your own."""


@model.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@required_dataset
@click.option("--name", metavar="T", help="What to call it. [default: the file's name]")
@click.option("--classes", metavar="A,B,...", help="Its outputs in order, where the file does not say them.")
@click.option(
    "--features",
    "kind",
    type=click.Choice(["texts", "ngrams", "pixels", "embeddings"]),
    help="What it takes. [default: by modality; docs/models.md]",
)
@click.option("--image-size", type=click.IntRange(1, 1024), default=32, show_default=True)
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", show_default=True)
@click.option(
    "--layout", type=click.Choice(["flat", "nchw", "nhwc"]), help="[default: nchw for ONNX, else flat]"
)
@click.option("--buckets", type=click.IntRange(2, 1 << 22), default=1 << 16, help="Of hashed n-grams.")
@click.option("--logits", is_flag=True, help="Of ONNX: outputs are scores; softmax makes probabilities.")
@click.option(
    "--trust-type", "trusted", multiple=True, metavar="T", help="A type that a skops file may hold."
)
@click.option("--trust-pickle", metavar="SHA256", help="The hash of a pickle that you made. Loading runs it.")
@click.option("--anyway", is_flag=True, help="Let it propose though it is worse than the last model.")
@fmt_option
def add(
    file: Path,
    dataset_name: str,
    name: str | None,
    classes: str | None,
    kind: str | None,
    image_size: int,
    channels: str,
    layout: str | None,
    buckets: int,
    logits: bool,
    trusted: tuple[str, ...],
    trust_pickle: str | None,
    anyway: bool,
    fmt: str,
) -> None:
    """Add a model from FILE (.skops, .onnx; a pickle only by its hash), judged by the held-out labels."""
    from hiveguard_pipeline.learning.adding import add_model
    from hiveguard_pipeline.learning.models.checkpoints import kind_of

    features: dict[str, Any] | None = None if kind is None else {"kind": kind}
    if kind == "pixels":
        by_kind = "nchw" if kind_of(file) == "onnx" else "flat"
        features = {
            "kind": kind,
            "size": image_size,
            "channels": int(channels),
            "layout": layout or by_kind,
        }
    elif kind == "ngrams":
        features = {"kind": kind, "buckets": buckets}
    made = add_model(
        open_store(),
        dataset_name,
        Settings.from_environment().model_root,
        file,
        name=name,
        classes=tuple(classes.split(",")) if classes else None,
        features=features,
        trusted=trusted,
        trusted_pickle=trust_pickle,
        logits=logits,
        anyway=anyway,
    )
    _print_model(made, fmt)


def _print_model(made: "RecordedModel", fmt: str) -> None:
    say(f"model {made.model_id} {'proposes now' if made.accepted else 'was not taken'}: {made.reason}")
    for why, count in sorted(made.metrics.get("without_features", {}).items()):
        say(f"without features, {why}: {count:,} items")
    if made.metrics.get("fell_back"):
        say("few labels have graduated: labels in re-validation were used too")
    if made.metrics.get("expect"):
        say(made.metrics["expect"])
    emit([_model_row(made, made.accepted)], _MODELS, fmt)


@active.command()
@required_dataset
@fmt_option
def report(dataset_name: str, fmt: str) -> None:
    """How far reviewers follow proposals: those that they saw beside blind ones, wrong ones by themselves."""
    from hiveguard_pipeline.learning.anchoring import anchoring

    with open_store().read() as connection:
        found = anchoring(connection, get_dataset(connection, dataset_name))
    rows = [
        {"proposals": entry.proposal, **asdict(entry)}
        | {name: _rounded(getattr(entry, name)) for name in ("share", "low", "high")}
        for entry in found
    ]
    emit(rows, _FOLLOWED, fmt)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
