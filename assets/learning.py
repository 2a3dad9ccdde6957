"""Active learning: the weak model, what it proposes, and what to ask next. None of it stops a night."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS
from hiveguard_pipeline import pictures
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import ModelsResource, StoreResource
from hiveguard_pipeline.rules.policy import decimal_text

if TYPE_CHECKING:
    from hiveguard_pipeline.learning.recorded import RecordedModel

GROUP = "learning"
_CLASSES_SHOWN = 12
_PREVIEWED = 20


@dg.asset(
    group_name=GROUP,
    deps=["revalidation_state", ITEMS],
    description=(
        "A model of the graduated labels, judged on held-out items that never change sides; one that is worse"
        " than the last model does not replace it. Good to choose by, not to deploy."
    ),
    kinds={"scikitlearn"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("model_id", "integer", "the model"),
        ("accuracy", "decimal", "share of the held-out items that it has right"),
        ("accepted", "boolean", "whether it proposes now"),
        ("reason", "text", "why, or why not"),
        ("labels_used", "integer", "labels that it was trained on"),
    ),
)
def weak_model(
    context: dg.AssetExecutionContext, store: StoreResource, models: ModelsResource
) -> dg.MaterializeResult[Any]:
    """Train on the labels as they are, unless the newest weak model has seen them."""
    from hiveguard_pipeline.learning.training import train_weak_model

    with heartbeat(context.instance, context.run):
        try:
            made = train_weak_model(
                store.open(), context.partition_key, models.root, run_id=context.run.run_id, only_if_new=True
            )
        except HiveGuardError as error:
            return _not_made(context, error)
    for note in _notes(made):
        context.log.info(note)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": 1,
            "model_id": made.model_id,
            "accepted": made.accepted,
            "reason": made.reason,
            "labels_used": made.labels_used,
            "held_out": made.held_out,
            **({} if made.accuracy is None else {"accuracy": float(decimal_text(made.accuracy))}),
            "what_to_expect": "; ".join(_notes(made)) or "judged by enough labels",
            "labels": dg.MetadataValue.json(made.metrics["labels"]),
            "without_features": dg.MetadataValue.json(made.metrics["without_features"]),
            **_pictures(made),
        },
        data_version=dg.DataVersion(str(made.model_id)),
    )


@dg.asset(
    group_name=GROUP,
    deps=[weak_model, ITEMS],
    description=(
        "What the accepted model proposes for items that people will see, with its probability. Never a vote;"
        " a stable share is blind: kept, and shown to nobody."
    ),
    kinds={"table"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("item_id", "uuid", "the item"),
        ("model_id", "integer", "the model that proposes"),
        ("answer", "text", "the proposal"),
        ("probability", "integer", "in millionths, as the model has it"),
        ("blind", "boolean", "kept, and shown to nobody"),
    ),
)
def prelabels(
    context: dg.AssetExecutionContext, store: StoreResource, models: ModelsResource
) -> dg.MaterializeResult[Any]:
    """Replace the proposals by those of the model that is accepted now."""
    from hiveguard_pipeline.learning.prelabels import prelabel

    with heartbeat(context.instance, context.run):
        try:
            done = prelabel(store.open(), context.partition_key, models.root)
        except HiveGuardError as error:
            return _not_made(context, error)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": done.proposals,
            "blind": done.blind,
            "without_proposal": dg.MetadataValue.json(done.without),
            **({} if done.model is None else {"model_id": done.model.model_id}),
            **({} if done.why_not is None else {"not_made": done.why_not}),
        }
    )


@dg.asset(
    group_name=GROUP,
    deps=[weak_model, ITEMS],
    description=(
        "What to ask next: unlabeled items chosen by the dataset's strategy, rank 1 first. `hiveguard pool"
        " sample` serves them first, but for one draw in ten."
    ),
    kinds={"table"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("item_id", "uuid", "the item"),
        ("selection_id", "integer", "the choice that it is of"),
        ("rank", "integer", "1 is asked first"),
        ("score", "double", "in the unit of the strategy, higher = ask first"),
    ),
)
def labeling_queue(
    context: dg.AssetExecutionContext, store: StoreResource, models: ModelsResource
) -> dg.MaterializeResult[Any]:
    """Choose anew by the dataset's settings."""
    from hiveguard_pipeline.learning.choosing import select_items

    with heartbeat(context.instance, context.run):
        try:
            made = select_items(store.open(), context.partition_key, models.root, run_id=context.run.run_id)
        except HiveGuardError as error:
            return _not_made(context, error)
    for note in made.notes:
        context.log.info(note)
    records = [
        dg.TableRecord({"rank": row.rank, "external_id": row.external_id, "score": row.score})
        for row in made.rows[:_PREVIEWED]
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(made.rows),
            "selection_id": made.selection_id,
            "strategy": made.strategy,
            "pool_size": made.pool_size,
            "labelled": made.labelled,
            "notes": dg.MetadataValue.json(list(made.notes)),
            **({} if made.model_id is None else {"model_id": made.model_id}),
            **({} if made.uncertainty_mean is None else {"uncertainty_mean": made.uncertainty_mean}),
            **({"head": dg.MetadataValue.table(records)} if records else {}),
        },
        data_version=dg.DataVersion(str(made.selection_id)),
    )


def _not_made(context: dg.AssetExecutionContext, error: HiveGuardError) -> dg.MaterializeResult[Any]:
    """Labels do not wait for a model: what is missing is said, and the run goes on."""
    context.log.warning(f"{context.partition_key}: {error}")
    return dg.MaterializeResult(metadata={"dagster/row_count": 0, "not_made": str(error)})


def _notes(made: "RecordedModel") -> list[str]:
    fell_back = "few labels have graduated: labels in re-validation were used too"
    return [note for note in (fell_back * made.metrics["fell_back"], made.metrics["expect"]) if note]


def _pictures(made: "RecordedModel") -> dict[str, Any]:
    """The learning curve, and what the classes with most held-out items are taken for."""
    from hiveguard_pipeline.learning.metrics import confusion_shares

    drawn = {}
    curve = [(float(point["labels"]), point["right"] / point["of"]) for point in made.metrics["curve"]]
    if curve:
        svg = pictures.lines_svg([("accuracy", curve)], ("labels", "share of held-out items right"))
        drawn["learning_curve"] = pictures.markdown("accuracy by labels", svg)
    if made.metrics["confusion"]:
        names, shares = confusion_shares(made.metrics["confusion"], _CLASSES_SHOWN)
        svg = pictures.heat_map_svg(names, shares, "rows: the label; columns: what the model says")
        drawn["confusion"] = pictures.markdown("labels by what the model says", svg)
    return {name: dg.MetadataValue.md(picture) for name, picture in drawn.items()}
