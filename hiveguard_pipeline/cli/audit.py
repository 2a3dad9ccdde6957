"""`hiveguard explain` and `hiveguard verify`."""

from dataclasses import asdict
from typing import Any

import click

from hiveguard_pipeline.audit import explain as explain_item
from hiveguard_pipeline.audit import verify as verify_dataset
from hiveguard_pipeline.cli.shared import (
    as_json,
    confidence,
    dataset_option,
    emit,
    fmt_option,
    open_store,
    progress,
    say,
)
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets
from hiveguard_pipeline.workflow import verify_stages

_VOTES = ["vote_id", "created_at", "solver_id", "answer", "duration_ms", "processed", "batch_id", "excluded"]
_BATCHES = [
    "batch_id",
    "kind",
    "first_vote_id",
    "last_vote_id",
    "agree",
    "disagree",
    "label",
    "confidence_before",
    "confidence_after",
    "state_after",
    "policy_id",
    "generation",
    "review_id",
    "run_id",
    "applied_at",
    "probability",
    "calibration_id",
]
_REVIEWS = ["review_id", "created_at", "decision", "label", "reviewer", "reason", "undoes"]
_TRANSITIONS = [
    "created_at",
    "from_stage",
    "outcome",
    "to_stage",
    "because",
    "review_id",
    "workflow_id",
    "run_id",
]
_FINDINGS = ["dataset", "item_id", "external_id", "batch_id", "reason"]


@click.command()
@click.argument("item")
@dataset_option
@fmt_option
def explain(item: str, dataset_name: str | None, fmt: str) -> None:
    """Show every vote and batch that made a label, with confidence before and after, and the Dagster run.

    csv and jsonl give the ledger alone; json gives all in one object.
    """
    with open_store().read() as connection:
        found = explain_item(connection, item, dataset_name)
    batches = [
        {name: row[name] for name in _BATCHES}
        | {
            "confidence_before": confidence(row["confidence_before"]),
            "confidence_after": confidence(row["confidence_after"]),
            "probability": confidence(row["probability"]),
        }
        for row in found.batches
    ]
    head: dict[str, Any] = asdict(found.item) | {
        "confidence": confidence(found.item.confidence),
        "probability": confidence(found.probability),
    }
    transitions = [row | {"because": row["detail"].get("because")} for row in found.transitions]
    if fmt == "json":
        whole = {
            **head,
            "votes": found.votes,
            "batches": batches,
            "reviews": found.reviews,
            "transitions": found.transitions,
        }
        click.echo(as_json(whole))
    elif fmt == "table":
        emit(
            [{"item": key, "": value} for key, value in head.items() if value is not None], ["item", ""], fmt
        )
        for title, rows, columns in (
            ("votes", found.votes, _votes_columns(found.classes_changed)),
            ("batches", batches, _BATCHES),
            ("reviews", found.reviews, _REVIEWS),
            ("stages", transitions, _TRANSITIONS),
        ):
            if rows:
                click.echo(f"\n{title}")
                emit(rows, columns, fmt)
    else:
        emit(batches, _BATCHES, fmt)


def _votes_columns(classes_changed: bool) -> list[str]:
    """What a vote means now stands beside its answer where classes have changed."""
    if not classes_changed:
        return _VOTES
    place = _VOTES.index("answer") + 1
    return [*_VOTES[:place], "means", *_VOTES[place:]]


@click.command()
@dataset_option
@fmt_option
def verify(dataset_name: str | None, fmt: str) -> None:
    """Replay the ledger and the votes; end with 1 and the differences if a label cannot be re-derived.

    With a workflow, what people's stages came to is derived from their answers too.
    """
    database = open_store()
    with database.read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
    differences = []
    for dataset in chosen:
        with progress(f"verifying {dataset.name}", "items") as report:
            done = verify_dataset(database, dataset.name, report)
        found = done.findings + verify_stages(database, dataset.name)
        differences.extend(found)
        say(
            f"{dataset.name}: {done.items:,} labels, {done.batches:,} ledger rows, {done.votes:,} votes,"
            f" {len(found):,} differences"
        )
    emit([asdict(finding) for finding in differences], _FINDINGS, fmt)
    if differences:
        raise click.exceptions.Exit(1)
