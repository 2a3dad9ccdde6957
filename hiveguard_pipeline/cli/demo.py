"""`hiveguard demo`: simulate a crowd, run the pipeline on it, and say how good the labels are."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.cli.run import run_datasets
from hiveguard_pipeline.cli.shared import emit, open_store, progress, say
from hiveguard_pipeline.demo import SCENES, Scene, simulate, write_crowd
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.intake import import_items, import_votes
from hiveguard_pipeline.review import queue_length
from hiveguard_pipeline.settings import Settings, policy_from_environment
from hiveguard_pipeline.snapshots.export_folder import latest_export
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset, get_dataset, list_datasets
from hiveguard_pipeline.store.status import funnel

_ITEMS = 1_000


@click.command()
@click.option(
    "--items", type=click.IntRange(10, 100_000), default=_ITEMS, show_default=True, help="Items a dataset."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Only write the crowd's files (items, votes, truth) to this folder.",
)
@click.option(
    "--active", is_flag=True, help="Active learning instead: strategies beside drawing at random, on images."
)
@click.option(
    "--chart",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --active: where the chart goes. [default: demo-active.svg in the home]",
)
def demo(items: int, seed: int, folder: Path | None, active: bool, chart: Path | None) -> None:
    """Simulate a crowd over three datasets, run the main job, and print what came out.

    Running it again changes nothing: the same seed is the same crowd.
    """
    if active:
        from hiveguard_pipeline.cli.active_demo import run_active_demo

        run_active_demo(seed, chart)
        return
    if folder is not None:
        for scene in SCENES:
            paths = write_crowd(simulate(scene, items, seed), folder / scene.name)
            say("wrote " + ", ".join(str(path) for path in paths.values()))
        return
    database = open_store()
    names = {scene: _dataset_name(scene, items, seed) for scene in SCENES}
    truths: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for scene, name in names.items():
            truths[name] = _bring_in(database, scene, name, items, seed, Path(temporary) / name)
    say("running nightly_labels_job through Dagster (a few seconds for each dataset)")
    run_datasets(list(names.values()))
    rows = [_outcome(database, name, truths[name]) for name in names.values()]
    emit(rows, list(rows[0]), "table")
    _prove(database, list(names.values()))
    root = Settings.from_environment().export_root
    for name in names.values():
        latest = latest_export(root, name)
        if latest is not None:
            click.echo(f"export: {root}/{name}/{latest['export_id']}")
    with database.read() as connection:
        queues = [queue_length(connection, get_dataset(connection, name)) for name in names.values()]
    to_review = sum(queue.items for queue in queues)
    me = _this_command()
    click.echo("next: `make dev` opens the Dagster UI on this data")
    click.echo(
        f"dashboard: `{me} users create NAME --role admin`, then `{me} serve`;"
        f" {to_review} items wait for review"
    )


def _this_command() -> str:
    """How this command is called: by its path where it is on no search path."""
    called = sys.argv[0]
    found = shutil.which("hiveguard")
    return "hiveguard" if found and Path(found).resolve() == Path(called).resolve() else called


def _dataset_name(scene: Scene, items: int, seed: int) -> str:
    return scene.name if (items, seed) == (_ITEMS, 0) else f"{scene.name}-{items}-{seed}"


def _bring_in(
    database: Database, scene: Scene, name: str, items: int, seed: int, folder: Path
) -> dict[str, str]:
    """Create a dataset and import its crowd; returns the truth by external id."""
    crowd = simulate(scene, items, seed)
    paths = write_crowd(crowd, folder)
    with database.read() as connection:
        there = name in [dataset.name for dataset in list_datasets(connection)]
    if not there:
        create_dataset(
            database,
            name,
            policy_from_environment(),
            classes=scene.classes,
            modality=scene.modality,
            actor="demo",
        )
    import_items(database, name, paths["items"])
    with progress(f"importing {name}") as report:
        done = import_votes(database, name, paths["votes"], report=report)
    say(
        f"{name}: {done.read:,} votes of {len(crowd.kind)} solvers on {items:,} items,"
        f" {done.accepted:,} of them new"
    )
    lines = paths["truth"].read_text().splitlines()[1:]
    return dict(line.split(",", 1) for line in lines)


def _outcome(database: Database, name: str, truth: dict[str, str]) -> dict[str, Any]:
    with database.read() as connection:
        dataset = get_dataset(connection, name)
        states = funnel(connection, dataset)
        graduated = connection.execute(
            sa.text(
                "SELECT external_id, label FROM item_status"
                " WHERE dataset_id = :dataset AND state = 'graduated'"
            ),
            {"dataset": dataset.dataset_id},
        ).all()
    right = sum(truth[external_id] == label for external_id, label in graduated)
    shown = ("unlabeled", "in_revalidation", "needs_review", "graduated")
    return {
        "dataset": name,
        **{state: states[state] for state in shown},
        "graduated_right": f"{100 * right / len(graduated):.1f}%" if graduated else "",
    }


def _prove(database: Database, names: list[str]) -> None:
    for name in names:
        with progress(f"verifying {name}", "items") as report:
            done = verify(database, name, report)
        if done.findings:
            raise HiveGuardError(
                f"{name}: {len(done.findings)} labels cannot be re-derived; `hiveguard verify`"
            )
        click.echo(f"verified: {name}, {done.items:,} labels re-derived from {done.votes:,} votes")
