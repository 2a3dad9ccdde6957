"""How probable labels are, fitted again to all votes of a dataset: at night, and with every quality run."""

from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from assets.heartbeat import heartbeat
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS, VOTES
from hiveguard_pipeline import pictures
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.structured import refuse_structured

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.aggregation import Aggregate
    from hiveguard_pipeline.store.crowd import Crowd

GROUP = "quality"
METHOD = "dawid_skene"
_CLASSES_SHOWN = 12
_CLASSES_LISTED = 50


@dg.asset(
    group_name=GROUP,
    deps=[ITEMS, VOTES],
    description=(
        "How probable each class of each item is, by Dawid and Skene's model of solvers fitted to all votes,"
        " gold labels held fast. `hiveguard quality posterior` prints it."
    ),
    kinds={"python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("external_id", "text", "the item, by its owner's name"),
        ("label", "text", "the most probable class; of those that tie the first one"),
        ("probability", "double", "how probable the label is, under the model"),
        ("p_<class>", "double", "how probable that class is; a row sums to 1"),
    ),
)
def posteriors(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Fit the model, and say what it makes of the crowd; the other methods beside it."""
    from hiveguard_pipeline.quality.aggregation import METHODS, aggregate
    from hiveguard_pipeline.store.crowd import read_crowd

    with heartbeat(context.instance, context.run):
        try:
            with store.open().read() as connection:
                dataset = get_dataset(connection, context.partition_key)
                refuse_structured(dataset, "a model of solvers")
                crowd = read_crowd(connection, dataset)
            fits = {method: aggregate(crowd, method) for method in METHODS}
        except BadInputError as error:  # there is no such model of this crowd
            context.log.warning(str(error))
            return dg.MaterializeResult(metadata={"dagster/row_count": 0, "not_fitted": str(error)})
    found = fits[METHOD]
    if not found.converged:
        context.log.warning(f"not converged after {found.iterations} iterations")
    votes = len(crowd.answer)
    newest = int(crowd.vote_id.max()) if votes else 0
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": int((found.label >= 0).sum()),
            "votes": votes,
            "solvers": len(crowd.solvers),
            "iterations": found.iterations,
            "converged": found.converged,
            **{
                f"labels_unlike/{method}": int((fits[method].label != found.label).sum())
                for method in METHODS
                if method != METHOD
            },
            **_classes(crowd, found),
            **_picture(crowd, found),
        },
        data_version=dg.DataVersion(f"{newest}.{votes}"),
    )


def _classes(crowd: "Crowd", found: "Aggregate") -> dict[str, Any]:
    """Each class: how common the model takes it to be, its labels, and how sure the model is of them."""
    labelled = np.flatnonzero(found.label >= 0)
    label, sure = found.label[labelled], found.probability[labelled, found.label[labelled]]
    items = np.bincount(label, minlength=len(crowd.classes))
    mean = np.bincount(label, sure, minlength=len(crowd.classes)) / np.maximum(items, 1)
    records = [
        dg.TableRecord(
            {
                "class": name,
                "prior": round(float(found.class_prior[code]), 6),
                "items": int(items[code]),
                "mean_probability": round(float(mean[code]), 6),
            }
        )
        for code, name in enumerate(crowd.classes[:_CLASSES_LISTED])
    ]
    return {"classes": dg.MetadataValue.table(records)} if records else {}


def _picture(crowd: "Crowd", found: "Aggregate") -> dict[str, Any]:
    """How the crowd answers on each true class, under the model."""
    from hiveguard_pipeline.quality.aggregation import DawidSkene

    if not isinstance(found.model, DawidSkene) or not 1 < len(crowd.classes) <= _CLASSES_SHOWN:
        return {}
    shares = np.exp(found.model.log_pooled).T.tolist()
    title = "true class under the model (rows), answers of the crowd (columns)"
    svg = pictures.heat_map_svg(crowd.classes, shares, title)
    return {"confusion": dg.MetadataValue.md(pictures.markdown("answers by true class", svg))}
