"""`hiveguard datasets`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hiveguard_pipeline.cli.shared import confidence, emit, fmt_option, open_store, say, warn_of_environment
from hiveguard_pipeline.rules.states import POOL_STATES, STATES
from hiveguard_pipeline.settings import policy_from_environment
from hiveguard_pipeline.store.datasets import (
    MODALITIES,
    Dataset,
    create_dataset,
    current_policy,
    get_dataset,
    list_datasets,
)
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.status import funnel, vote_counts

ITEM_COLUMNS = [
    "item_id",
    "external_id",
    "data_ref",
    "modality",
    "state",
    "label",
    "confidence",
    "vote_count",
    "revalidation_vote_count",
    "total_votes",
    "unprocessed_votes",
    "in_pool",
    "needs_review",
]


@click.group()
def datasets() -> None:
    """Create, list, show, set and export datasets."""


@datasets.command()
@click.argument("name")
@click.option("--classes", metavar="A,B", help="The answers that are taken; any, where none are named.")
@click.option("--task-type", metavar="T", help="bbox, ner, or one of classes; by default of the modality.")
@click.option("--modality", type=click.Choice(MODALITIES), help="By default that of the task type, or image.")
def create(name: str, classes: str | None, task_type: str | None, modality: str | None) -> None:
    """Create a dataset; its policy is what the environment says now."""
    dataset = create_dataset(
        open_store(),
        name,
        policy_from_environment(),
        classes=tuple(part.strip() for part in classes.split(",")) if classes is not None else None,
        modality=modality,
        task_type=task_type,
    )
    say(f"created dataset {dataset.name} ({dataset.task_type}, {dataset.modality})")


@datasets.command("list")
@fmt_option
def list_(fmt: str) -> None:
    """List the datasets."""
    with open_store().read() as connection:
        rows = [
            {
                "name": dataset.name,
                "task_type": dataset.task_type,
                "modality": dataset.modality,
                "classes": list(dataset.classes)
                if dataset.classes is not None and fmt in ("json", "jsonl")
                else ",".join(dataset.classes or ()),
            }
            for dataset in list_datasets(connection)
        ]
    emit(rows, ["name", "task_type", "modality", "classes"], fmt)


@datasets.command()
@click.argument("name")
@fmt_option
def show(name: str, fmt: str) -> None:
    """Show a dataset's funnel and counts."""
    with open_store().read() as connection:
        dataset = get_dataset(connection, name)
        warn_of_environment(current_policy(connection, dataset).policy)
        states = funnel(connection, dataset)
        counts: dict[str, int] = {
            **states,
            "items": sum(states.values()),
            **{f"votes_{kind}": count for kind, count in vote_counts(connection, dataset).items()},
        }
    if fmt in ("json", "jsonl"):
        emit([{"dataset": name, **counts}], ["dataset", *counts], "jsonl")
    else:
        emit([{"what": what, "count": count} for what, count in counts.items()], ["what", "count"], fmt)


@datasets.command()
@click.argument("name")
@click.option("--state", type=click.Choice(STATES), help="Only items in this state.")
@fmt_option
def items(name: str, state: str | None, fmt: str) -> None:
    """List a dataset's items as they stand."""
    with open_store().read() as connection:
        dataset = get_dataset(connection, name)
        emit(_items(connection, dataset, state), ITEM_COLUMNS, fmt)


def _items(connection: sa.Connection, dataset: Dataset, state: str | None) -> Iterator[dict[str, Any]]:
    rows = connection.execution_options(yield_per=10_000).execute(
        sa.text(
            "SELECT s.*, (SELECT count(*) FROM votes v WHERE v.item_id = s.item_id"
            f" AND v.vote_id > s.applied_through{counted(connection, dataset)}) AS unprocessed_votes"
            " FROM item_status s"
            " WHERE s.dataset_id = :dataset"
            + (" AND s.state = :state" if state else "")
            + " ORDER BY s.item_id"
        ),
        {"dataset": dataset.dataset_id} | ({"state": state} if state else {}),
    )
    for row in rows:
        total = row.vote_count + row.revalidation_vote_count
        yield {
            "item_id": str(row.item_id),
            "external_id": row.external_id,
            "data_ref": row.data_ref,
            "modality": row.modality,
            "state": row.state,
            "label": row.label,
            "confidence": confidence(row.confidence),
            "vote_count": row.vote_count,
            "revalidation_vote_count": row.revalidation_vote_count,
            "total_votes": total,
            "unprocessed_votes": row.unprocessed_votes,
            "in_pool": row.state in POOL_STATES,
            "needs_review": row.state == "needs_review",
        }


@datasets.command()
@click.argument("name")
@click.option(
    "--fmt", type=click.Choice(["csv", "jsonl", "json", "parquet"]), default="csv", show_default=True
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option(
    "--server", metavar="URL", help="From a server (`hiveguard serve`); HIVEGUARD_API_KEY is the key."
)
def export(name: str, fmt: str, output: Path, server: str | None) -> None:
    """Write a dataset's finalized labels to a file."""
    if server is not None:
        from hiveguard_pipeline.exports.remote import fetch_labels

        size = fetch_labels(server, os.environ.get("HIVEGUARD_API_KEY"), name, fmt, output)
        say(f"{size:,} bytes in {output}")
        return
    from hiveguard_pipeline.cli.labels import write_labels

    write_labels(output, fmt, dataset_name=name)


@datasets.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, required=True, metavar="export.KEY=VALUE...")
@fmt_option
def set_(name: str, settings: tuple[str, ...], fmt: str) -> None:
    """Change how a dataset is exported: formats, train_val_split, split, salt, licence."""
    from hiveguard_pipeline.snapshots.settings import set_export_settings

    given = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.startswith("export."):
            raise click.UsageError(f"{setting!r} is not export.KEY=VALUE")
        given[key.removeprefix("export.")] = value
    changed = set_export_settings(open_store(), name, given).values()
    rows = [
        {"setting": f"export.{key}", "value": ",".join(value) if isinstance(value, list) else value}
        for key, value in changed.items()
    ]
    emit(rows, ["setting", "value"], fmt)
