"""Confidence that is a probability: each label's chance of being right, and how far it can be believed."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.labels import REVALIDATION
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS, VOTES
from hiveguard_pipeline import pictures
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.terms import FOR_CLASSES
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.datasets import get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.calibration import Calibrated

GROUP = "quality"

CALIBRATED = dg.AssetCheckSpec(
    "probabilities_are_calibrated",
    asset="label_probabilities",
    blocking=True,
    description=(
        "The expected calibration error on gold items is at most HIVEGUARD_MAX_CALIBRATION_ERROR. Where that"
        " is set, a larger error keeps the labels from being exported; where it is not, nothing is kept back."
    ),
)


@dg.asset(
    group_name=GROUP,
    deps=[ITEMS, VOTES, REVALIDATION],
    description=(
        "The probability of each label, calibrated on gold items, with the error that it has on gold items"
        " which it was not calibrated on. Under adaptive graduation, items that are to go to a person are"
        " decided once more by it."
    ),
    kinds={"table", "python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    check_specs=[CALIBRATED],
    metadata=columns(
        ("item_id", "uuid", "the item"),
        ("label", "text", "its label"),
        ("probability", "integer", "that the label is right, in millionths"),
    ),
)
def label_probabilities(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with checks, Dagster takes no other annotation
    """Calibrate the dataset on its gold items and give each label its probability."""
    from hiveguard_pipeline.quality.calibration import calibrate_dataset
    from hiveguard_pipeline.store.settlement import settle_reviews

    with heartbeat(context.instance, context.run):
        database = store.open()
        with database.read() as connection:
            structured = is_structured(get_dataset(connection, context.partition_key).task_type)
        if structured:  # nothing to hold a limit against, now and later
            return _not_calibrated(FOR_CLASSES, None)
        try:
            done = calibrate_dataset(database, context.partition_key)
        except BadInputError as error:  # there is no model of such a crowd
            context.log.warning(str(error))
            return _not_calibrated(str(error), Settings.from_environment().max_calibration_error)
        settled = settle_reviews(database, context.partition_key, run_id=context.run.run_id)
    if done.found.thin:
        context.log.warning(done.found.thin_text)
    judged = done.found.reliability
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": done.labels,
            "calibration_id": done.calibration_id,
            "votes": done.votes,
            "gold_items": done.found.gold,
            "rests_on_prior": done.found.thin,
            "labels_changed": done.labels_changed,
            "reviews_settled": sum(settled.states.values()),
            **({} if judged.error is None else {"expected_calibration_error": judged.error}),
            **({} if judged.brier is None else {"brier_score": judged.brier}),
            **_picture(done),
        },
        data_version=dg.DataVersion(str(done.calibration_id)),
        check_results=[_checked(done, Settings.from_environment().max_calibration_error)],
    )


def _not_calibrated(why: str, limit: float | None) -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(
        metadata={"dagster/row_count": 0, "not_calibrated": why},
        check_results=[
            dg.AssetCheckResult(
                check_name=CALIBRATED.name,
                passed=limit is None,
                severity=dg.AssetCheckSeverity.ERROR,
                description=f"not calibrated: {why}",
            )
        ],
    )


def _checked(done: "Calibrated", limit: float | None) -> dg.AssetCheckResult:
    error = done.found.reliability.error
    metadata: dict[str, Any] = {"gold_items": done.found.gold}
    if error is not None:
        metadata["expected_calibration_error"] = error
    passed = limit is None or (error is not None and error <= limit)
    if limit is not None:
        metadata["limit"] = limit
    said = "no gold item has votes" if error is None else f"expected calibration error {error:.3f}"
    return dg.AssetCheckResult(
        check_name=CALIBRATED.name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=said + ("" if limit is None else f", at most {limit:g} is asked for"),
        metadata=metadata,
    )


def _picture(done: "Calibrated") -> dict[str, Any]:
    judged = done.found.reliability
    if judged.error is None:
        return {}
    drawn = pictures.reliability_svg(judged.said.tolist(), judged.right.tolist(), judged.items.tolist())
    return {"reliability": dg.MetadataValue.md(pictures.markdown("said and true on gold items", drawn))}
