"""The suite: one named expectation for each thing that an export promises.

Every expectation is pushed down as SQL; no label comes into memory but a few examples of what is wrong.
Each label is judged by the policy that made it. Great Expectations takes seconds to import, so it is
imported when the suite runs.
"""

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hiveguard_pipeline.rules.policy import ADAPTIVE, ONE
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.standing import newest_standing

LABELS = "labels"
FINALIZED = "finalized_labels"
VOTES = "votes"

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Expectation:
    """Something that must hold; blocking ones stand in front of the exports."""

    name: str
    description: str
    rows: str
    build: Callable[[Any], Any]
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an expectation held, how many rows broke it, and some of them."""

    name: str
    passed: bool
    unexpected: int
    examples: list[dict[str, Any]] = field(default_factory=list)


def _no_row_where(condition: str, description: str) -> Callable[[Any], Any]:
    return lambda gxe: gxe.UnexpectedRowsExpectation(
        unexpected_rows_query=f"SELECT * FROM {{batch}} WHERE {condition}",
        description=description,
    )


def _expectation(name: str, description: str, rows: str, condition: str) -> Expectation:
    return Expectation(name, description, rows, _no_row_where(condition, description))


EXPECTATIONS = (
    Expectation(
        "confidence_within_bounds",
        "every label's confidence lies within [0, 1]",
        LABELS,
        lambda gxe: gxe.ExpectColumnValuesToBeBetween(column="confidence", min_value=0, max_value=ONE),
    ),
    Expectation(
        "state_is_known",
        "every label is in one of the design's states",
        LABELS,
        lambda gxe: gxe.ExpectColumnValuesToBeInSet(column="state", value_set=list(STATES)),
    ),
    Expectation(
        "one_row_an_item",
        "no item has two finalized labels",
        FINALIZED,
        lambda gxe: gxe.ExpectColumnValuesToBeUnique(column="item_id"),
    ),
    _expectation(
        "nothing_below_the_floor",
        "no finalized label is under the floor of the policy that made it, unless a probability made it",
        FINALIZED,
        "confidence < floor AND decided IS NULL",
    ),
    _expectation(
        "nothing_flagged",
        "no finalized label waits for review or was discarded",
        FINALIZED,
        f"needs_review OR state NOT IN ('{STATES[State.IN_REVALIDATION]}', '{STATES[State.GRADUATED]}')",
    ),
    _expectation(
        "nothing_gold", "no gold item is among the finalized labels", FINALIZED, "gold_label IS NOT NULL"
    ),
    _expectation(
        "graduated_is_earned",
        "every graduated label has the exit confidence, or probability, and enough votes, or was accepted by"
        " a stage of the dataset's workflow",
        FINALIZED,
        f"state = '{STATES[State.GRADUATED]}' AND accepted = 0 AND CASE WHEN decided IS NULL"
        " THEN confidence < exit_confidence OR solver_count < min_total_votes"
        " ELSE decided < target OR solver_count < adaptive_min_votes END",
    ),
    _expectation(
        "votes_are_accounted_for",
        "votes applied + unprocessed + quarantined + excluded = votes received",
        VOTES,
        "received <> applied + unprocessed + quarantined + excluded",
    ),
)


def judge_labels(database: Database, dataset: Dataset) -> list[Judgement]:
    """Run the suite on a dataset; one judgement for each of EXPECTATIONS, in that order.

    Raises what the database raises: a check that could not run is not a check that failed.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
    import great_expectations as gx
    from great_expectations import expectations as gxe
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    warnings.filterwarnings("ignore", module="great_expectations")
    source = context.data_sources.add_sql(
        name="store",
        connection_string=database.url.render_as_string(hide_password=False),
        create_temp_table=False,
    )
    judged: dict[str, Judgement] = {}
    for rows, query in _queries(dataset).items():
        wanted = [expectation for expectation in EXPECTATIONS if expectation.rows == rows]
        batch = (
            source.add_query_asset(name=rows, query=query)
            .add_batch_definition_whole_table("whole")
            .get_batch()
        )
        suite = gx.ExpectationSuite(name=rows)
        for entry in wanted:
            built = entry.build(gxe)
            built.meta = {"name": entry.name}
            suite.add_expectation(built)
        for outcome in _validated(batch, suite):
            configured: Any = outcome.expectation_config
            name = configured.meta["name"]
            judged[name] = _judgement(name, outcome, database)
    return [judged[entry.name] for entry in EXPECTATIONS]


def _validated(batch: Any, suite: Any) -> list[Any]:
    """The results; those of failed row expectations with some of the rows that broke them."""
    rows_wanted = any(hasattr(entry, "unexpected_rows_query") for entry in suite.expectations)
    plain = batch.validate(suite).results
    if not rows_wanted or all(outcome.success for outcome in plain):
        return list(plain)
    complete = batch.validate(suite, result_format={"result_format": "COMPLETE"}).results
    return [
        again if "unexpected_rows_query" in outcome.expectation_config.kwargs else outcome
        for outcome, again in zip(plain, complete, strict=True)
    ]


def _judgement(name: str, outcome: Any, database: Database) -> Judgement:
    raised = outcome.exception_info or {}
    reports = [raised] if "raised_exception" in raised else list(raised.values())
    for report in reports:
        if report.get("raised_exception"):
            said = database.without_secrets(str(report.get("exception_message")))
            raise RuntimeError(f"the expectation {name} could not be judged: {said}")
    found = outcome.result
    details = found.get("details") or {}
    examples = details.get("unexpected_rows") or [
        {"value": value} for value in found.get("partial_unexpected_list") or []
    ]
    unexpected = found.get("unexpected_count") or found.get("observed_value") or 0
    shown = [{str(key): _plain(value) for key, value in row.items()} for row in examples[:_EXAMPLES]]
    return Judgement(name, bool(outcome.success), int(unexpected), shown)


def _plain(value: object) -> object:
    """A value as JSON has it."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)


_DECIDED = (
    "(SELECT b.probability FROM batches b WHERE b.item_id = f.item_id ORDER BY b.batch_id DESC LIMIT 1)"
)
"""SQL: the probability that decided on label f; null where it was not one."""

_ACCEPTED = (
    "EXISTS (SELECT 1 FROM reviews r WHERE r.decision = 'accept'"
    f" AND r.review_id = {newest_standing('f.item_id')})"
)
"""SQL: the newest decision on label f graduated it."""


def _queries(dataset: Dataset) -> dict[str, str]:
    by_dataset = f"dataset_id = '{dataset.dataset_id}'"
    return {
        LABELS: f"SELECT item_id, confidence, state FROM labels WHERE {by_dataset}",
        FINALIZED: (
            "SELECT f.item_id, f.label, f.confidence, f.state, f.needs_review, f.gold_label, f.solver_count,"
            " p.revalidation_confidence_threshold AS floor,"
            " p.revalidation_exit_confidence AS exit_confidence,"
            " p.revalidation_min_total_votes AS min_total_votes,"
            " p.adaptive_target_probability AS target, p.adaptive_min_votes,"
            f" CASE WHEN p.graduation = '{ADAPTIVE}' THEN {_DECIDED} END AS decided,"
            f" CASE WHEN {_ACCEPTED} THEN 1 ELSE 0 END AS accepted"
            " FROM finalized_labels f JOIN policies p ON p.policy_id = f.policy_id"
            f" WHERE f.{by_dataset}"
        ),
        VOTES: (
            "SELECT received, applied, unprocessed, quarantined, excluded FROM vote_counts"
            f" WHERE {by_dataset}"
        ),
    }
