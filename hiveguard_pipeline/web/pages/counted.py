"""The figures of a dataset's page: each is counted by the capability that has it, and drawn as a picture."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline import pictures
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.states import POOL_STATES
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.status import confidence_histogram, funnel, vote_counts
from hiveguard_pipeline.store.tables import full_time
from hiveguard_pipeline.web.pages.drawings import days_svg

DAYS_SHOWN = 28
_DRIFT_SHOWN = 20
_LABELS_SHOWN = 12


def count_funnel(database: Database, settings: Settings, dataset: Dataset) -> dict[str, Any]:  # noqa: ARG001
    """Items by state."""
    with database.read() as connection:
        states = funnel(connection, dataset)
    return {
        "states": states,
        "items": sum(states.values()),
        "in_pool": sum(states[state] for state in POOL_STATES),
        "picture": pictures.funnel_svg(states),
    }


def count_confidence(database: Database, settings: Settings, dataset: Dataset) -> dict[str, Any]:  # noqa: ARG001
    """Labels by confidence, with the floor and the exit that hold now."""
    with database.read() as connection:
        counts = confidence_histogram(connection, dataset)
        policy = current_policy(connection, dataset).policy
    floor, exit_ = policy.revalidation_confidence_threshold / ONE, policy.revalidation_exit_confidence / ONE
    return {
        "counts": counts,
        "width": 1 / len(counts),
        "floor": floor,
        "exit": exit_,
        "labels": sum(counts),
        "picture": pictures.histogram_svg(counts, floor, exit_),
    }


def count_votes(database: Database, settings: Settings, dataset: Dataset) -> dict[str, Any]:  # noqa: ARG001
    """Votes by what became of them, and by day."""
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
        days = votes_by_day(connection, dataset)
    return {"counts": counts, "days": days, "picture": days_svg(days) if days else None}


def votes_by_day(connection: sa.Connection, dataset: Dataset) -> list[tuple[str, int]]:
    """(day, votes) of the last days that have votes, oldest first, in UTC."""
    if connection.dialect.name == "sqlite":
        day = f"substr({full_time(connection, 'v.created_at')}, 1, 10)"
    else:
        day = "to_char(v.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    rows = connection.execute(
        sa.text(
            f"SELECT {day} AS day, count(*) FROM items i JOIN votes v ON v.item_id = i.item_id"
            " WHERE i.dataset_id = :dataset GROUP BY 1 ORDER BY 1 DESC LIMIT :days"
        ),
        {"dataset": dataset.dataset_id, "days": DAYS_SHOWN},
    )
    return [(str(day), int(votes)) for day, votes in rows][::-1]


def count_forecast(database: Database, settings: Settings, dataset: Dataset) -> dict[str, Any]:  # noqa: ARG001
    """When shares of the items will have graduated; or why there is no telling."""
    from hiveguard_pipeline.foresight.forecast import forecast

    with database.read() as connection:
        try:
            found = forecast(connection, dataset, datetime.now(UTC), seed=0)
        except BadInputError as error:
            return {"why_not": str(error)}
    if found.outlook is None:
        return {"why_not": "there are no votes yet: nothing says how this crowd answers"}
    return {
        "why_not": None,
        "rate": found.rate.per_day if found.rate else None,
        "milestones": [asdict(milestone) for milestone in found.milestones],
        "reachable": found.reachable.median if found.reachable else None,
        "in_review": found.in_review.median if found.in_review else None,
    }


def count_agreement(database: Database, settings: Settings, dataset: Dataset) -> dict[str, Any]:  # noqa: ARG001
    """How far solvers agree: figures with intervals, by label, and which labels are confused."""
    from hiveguard_pipeline.quality.agreement import LEAST_KAPPA, agreement, judge
    from hiveguard_pipeline.quality.structured import structured_agreement
    from hiveguard_pipeline.store.crowd import read_crowd

    with database.read() as connection:
        if is_structured(dataset.task_type):
            return {"structured": structured_agreement(connection, dataset).figures(), "figures": {}}
        crowd = read_crowd(connection, dataset)
    found = agreement(crowd)
    judged = judge(found)
    by_votes = sorted(found.per_label, key=lambda entry: -entry.votes)
    rows = [
        (name, figure.value, figure.low, figure.high)
        for name, figure in [
            *((name.replace("_", " "), figure) for name, figure in found.figures.items()),
            *(
                (f"fleiss kappa of {entry.label}", entry.figures["fleiss_kappa"])
                for entry in by_votes[:_LABELS_SHOWN]
            ),
        ]
        if figure.value is not None and figure.low is not None and figure.high is not None
    ]
    names = sorted(entry.label for entry in by_votes[:_LABELS_SHOWN])
    return {
        "structured": None,
        "figures": {name: (f.value, f.low, f.high) for name, f in found.figures.items()},
        "labels": [
            {
                "label": entry.label,
                "votes": entry.votes,
                **{name: figure.value for name, figure in entry.figures.items()},
            }
            for entry in by_votes
        ],
        "least_kappa": LEAST_KAPPA,
        "judged": judged.text,
        "passed": judged.passed,
        "notes": found.notes,
        "items": found.items,
        "paired_items": found.paired_items,
        "solvers": found.solvers,
        "votes": found.votes,
        "picture": pictures.intervals_svg(rows, LEAST_KAPPA) if rows else None,
        "confusion": pictures.heat_map_svg(
            names,
            found.shares_of_other_answers(names),
            "rows: a vote; columns: what the others on its item say",
        )
        if found.confusion.total
        else None,
    }


def count_export(database: Database, settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """The latest training export, and which of its labels no longer hold."""
    from hiveguard_pipeline.snapshots.export_folder import latest_export
    from hiveguard_pipeline.snapshots.watch import look

    latest = latest_export(settings.export_root, dataset.name)
    if latest is None:
        return {"export_id": None}
    try:
        watched = look(database, dataset.name, settings.export_root, settings.snapshot_root)
    except BadInputError as error:
        return {"export_id": latest["export_id"], "watched": False, "why_not": str(error)}
    if watched is None:
        return {"export_id": latest["export_id"], "watched": False, "why_not": "it names no snapshot"}
    return {
        "export_id": watched.export_id,
        "watched": True,
        "snapshot_id": watched.snapshot_id,
        "rows": watched.rows,
        "counts": watched.counts,
        "drifted": [asdict(row) for row in watched.drifted[:_DRIFT_SHOWN]],
        "total": len(watched.drifted),
    }


Count = Callable[[Database, Settings, Dataset], dict[str, Any]]

FIGURES: dict[str, tuple[str, Count]] = {
    "funnel": ("Items by state", count_funnel),
    "confidence": ("Confidence of labels", count_confidence),
    "votes": ("Votes", count_votes),
    "forecast": ("Forecast", count_forecast),
    "agreement": ("Agreement of solvers", count_agreement),
    "export": ("Latest export", count_export),
}
"""Figure -> its title and what counts it; the template of each is `figure_<name>.html`."""
