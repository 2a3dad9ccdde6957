"""How far solvers agree, and a check that warns where a labelling guide is unclear."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS, VOTES
from hiveguard_pipeline import pictures
from hiveguard_pipeline.quality.terms import FOR_CLASSES, LEAST_KAPPA
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.datasets import get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.agreement import Agreement, Judgement
    from hiveguard_pipeline.quality.structured import StructuredAgreement

GROUP = "quality"
_LABELS_SHOWN = 12

SUFFICIENT = dg.AssetCheckSpec(
    "agreement_is_sufficient",
    asset="label_agreement",
    description=(
        f"Fleiss' kappa is at least {LEAST_KAPPA}. Below it the check warns, and names the labels, pairs of"
        " labels and solvers that cause it."
    ),
)


@dg.asset(
    group_name=GROUP,
    deps=[ITEMS, VOTES],
    description=(
        "How far solvers agree on the same items, beyond chance, with 95% intervals, overall and per label;"
        " which labels are confused. `hiveguard quality agreement` prints it."
    ),
    kinds={"python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    check_specs=[SUFFICIENT],
    metadata=columns(
        ("label", "text", "the label that is measured against all others; none: all labels"),
        ("figure", "text", "percent agreement, Cohen's, Fleiss' kappa, Krippendorff's alpha, Gwet's AC1"),
        ("value", "double", "1 is full agreement; chance has 0, but for percent agreement"),
        ("low", "double", "lower end of the 95% interval"),
        ("high", "double", "upper end of the 95% interval"),
    ),
)
def label_agreement(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with checks, Dagster takes no other annotation
    """Measure the votes as they are."""
    from hiveguard_pipeline.quality.agreement import agreement, judge
    from hiveguard_pipeline.quality.structured import structured_agreement
    from hiveguard_pipeline.store.crowd import read_crowd

    with heartbeat(context.instance, context.run):
        with store.open().read() as connection:
            dataset = get_dataset(connection, context.partition_key)
            if is_structured(dataset.task_type):
                return _of_structured(context.partition_key, structured_agreement(connection, dataset))
            crowd = read_crowd(connection, dataset)
        found = agreement(crowd)
        judged = judge(found)
    for note in found.notes:
        context.log.info(note)
    measured = found.as_object()
    per_label = measured.pop("per_label")
    newest = int(crowd.vote_id.max()) if found.votes else 0
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": _defined(measured) + sum(map(_defined, per_label.values())),
            **{name: value for name, value in measured.items() if isinstance(value, int | float)},
            "intervals": dg.MetadataValue.json(measured["intervals"]),
            "per_label": dg.MetadataValue.json(per_label),
            **_pictures(found),
        },
        data_version=dg.DataVersion(f"{newest}.{found.votes}"),
        check_results=[
            dg.AssetCheckResult(
                check_name=SUFFICIENT.name,
                passed=judged.passed,
                severity=dg.AssetCheckSeverity.WARN,
                description=judged.text,
                metadata={
                    "dataset": context.partition_key,
                    **({"fleiss_kappa": judged.kappa} if judged.kappa is not None else {}),
                    **{
                        what: dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
                        for what, rows in _causes(judged).items()
                        if rows
                    },
                },
            )
        ],
    )


def _of_structured(name: str, found: "StructuredAgreement") -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Structured answers against labels: there is no kappa to judge by."""
    figures = found.figures()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(figures[key] is not None for key in ("mean_f1", "label_agreement")),
            **{key: value for key, value in figures.items() if value is not None},
            "not_measured": FOR_CLASSES,
        },
        data_version=dg.DataVersion(f"{found.newest}.{len(found.f1)}"),
        check_results=[
            dg.AssetCheckResult(
                check_name=SUFFICIENT.name,
                passed=True,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"not judged: {FOR_CLASSES}",
                metadata={"dataset": name},
            )
        ],
    )


def _defined(measured: dict[str, Any]) -> int:
    """How many figures there are, of all labels or of one."""
    return sum(measured[name] is not None for name in measured["intervals"])


def _causes(judged: "Judgement") -> dict[str, list[dict[str, Any]]]:
    return {"labels": judged.labels, "pairs_of_labels": judged.pairs, "solvers": judged.solvers}


def _pictures(found: "Agreement") -> dict[str, Any]:
    """The intervals of the figures and of each label's kappa, and the confusion of the labels most given."""
    shown = [(name.replace("_", " "), figure) for name, figure in found.figures.items()]
    by_votes = sorted(found.per_label, key=lambda entry: -entry.votes)[:_LABELS_SHOWN]
    most = [entry for entry in found.per_label if entry in by_votes]
    shown += [(f"fleiss kappa of {entry.label}", entry.figures["fleiss_kappa"]) for entry in most]
    rows = [
        (name, figure.value, figure.low, figure.high)
        for name, figure in shown
        if figure.value is not None and figure.low is not None and figure.high is not None
    ]
    drawn = {}
    if rows:
        drawn["agreement"] = pictures.markdown(
            "figures with intervals", pictures.intervals_svg(rows, LEAST_KAPPA)
        )
    names = [entry.label for entry in most]
    if found.confusion.total:
        drawn["confusion"] = pictures.markdown(
            "labels given to one item",
            pictures.heat_map_svg(
                names,
                found.shares_of_other_answers(names),
                "rows: a vote; columns: what the others on its item say",
            ),
        )
    return {name: dg.MetadataValue.md(picture) for name, picture in drawn.items()}
