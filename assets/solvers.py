"""How each solver answers beside the others, and who stands out."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS, VOTES
from hiveguard_pipeline import pictures
from hiveguard_pipeline.quality.terms import FOR_CLASSES, MEASURES
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.datasets import get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.solvers import SolverQuality
    from hiveguard_pipeline.quality.structured import StructuredAgreement

GROUP = "quality"
_PREVIEWED = 50
_SHOWN = (
    "solver_id",
    "reasons",
    "votes",
    "consensus_agreement",
    "gold_accuracy",
    "model_accuracy",
    "median_ms",
    "longest_streak",
    "leans_to",
    "most_alike",
    "excluded",
)


@dg.asset(
    group_name=GROUP,
    deps=[ITEMS, VOTES],
    description=(
        "Each solver's votes, agreement, accuracy, bias, times and streaks, and the outliers at a false"
        " discovery rate of 5%. `hiveguard quality solvers` prints it."
    ),
    kinds={"python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("solver_id", "text", "the solver"),
        ("excluded", "boolean", "whether the solver's votes are excluded now"),
        ("reasons", "text", f"why the solver is flagged: {', '.join(MEASURES)}; none if not"),
        ("votes", "integer", "votes of the solver"),
        ("consensus_agreement", "double", "share of votes that give the consensus of the others"),
        ("cohens_kappa", "double", "the same beyond chance"),
        ("gold_accuracy", "double", "share of votes on gold items that are right"),
        (
            "model_accuracy",
            "double",
            "mean probability of the solver's answers under Dawid and Skene's model",
        ),
        ("median_ms", "double", "median time of an answer in milliseconds"),
        ("longest_streak", "integer", "longest run of one answer, in votes"),
    ),
)
def solver_quality(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Measure the solvers of a dataset, the excluded ones too, by the votes as they are."""
    from hiveguard_pipeline.quality.solvers import read_solver_quality
    from hiveguard_pipeline.quality.structured import structured_agreement

    with heartbeat(context.instance, context.run), store.open().read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        if is_structured(dataset.task_type):
            return _of_structured(structured_agreement(connection, dataset))
        measured = read_solver_quality(connection, dataset)
    for note in measured.notes:
        context.log.info(note)
    found = measured.outliers
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(measured),
            "votes": int(measured.votes.sum()),
            "excluded": int(measured.excluded.sum()),
            "flagged": int(found.flagged.sum()),
            "false_discovery_rate": found.rate,
            **{f"flagged/{name}": int(found.by(name).sum()) for name in MEASURES},
            **_preview(measured),
            **_pictures(measured),
        }
    )


def _of_structured(found: "StructuredAgreement") -> dg.MaterializeResult[Any]:
    """Solvers of structured answers against labels; the farthest from them first."""
    from hiveguard_pipeline.quality.structured import SOLVER_COLUMNS

    rows = sorted(found.rows(), key=lambda row: (row["mean_f1"] is None, row["mean_f1"], row["solver_id"]))
    lines = [f"| {' | '.join(SOLVER_COLUMNS)} |", f"|{'---|' * len(SOLVER_COLUMNS)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in SOLVER_COLUMNS)} |" for row in rows[:_PREVIEWED]]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "votes": len(found.f1),
            "excluded": int(found.excluded.sum()),
            "not_measured": FOR_CLASSES,
            "solvers": dg.MetadataValue.md("\n".join(lines)),
        }
    )


def _preview(measured: "SolverQuality") -> dict[str, Any]:
    """The flagged with most votes, as a Markdown table."""
    from hiveguard_pipeline.quality.solvers import solver_rows

    rows = sorted(solver_rows(measured, flagged_only=True), key=lambda row: -row["votes"])[:_PREVIEWED]
    if not rows:
        return {}
    lines = [f"| {' | '.join(_SHOWN)} |", f"|{'---|' * len(_SHOWN)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in _SHOWN)} |" for row in rows]
    return {"outliers": dg.MetadataValue.md("\n".join(lines))}


def _cell(value: object) -> str:
    """A value in a Markdown table: people's ids and answers may hold anything."""
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, float):
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "".join(f"\\{mark}" if mark in "\\|`*_[]<>" else mark for mark in " ".join(text.split()))


def _pictures(measured: "SolverQuality") -> dict[str, Any]:
    """Solvers by accuracy; accuracy over votes and over time; the flagged marked."""
    from hiveguard_pipeline.quality.solvers import plots

    if not len(measured):
        return {}
    name, _ = plots.accuracy(measured)
    drawn = {"accuracy": pictures.marked_histogram_svg(*plots.accuracy_histogram(measured), name, "flagged")}
    for key, scatter, x_name in (
        ("accuracy_by_votes", plots.accuracy_by_votes(measured), "votes"),
        ("accuracy_by_time", plots.accuracy_by_time(measured), "median seconds an answer"),
    ):
        if scatter is not None:
            drawn[key] = pictures.scatter_svg(
                scatter.crowd, scatter.flagged, (scatter.low, scatter.high), (x_name, name)
            )
    return {
        key: dg.MetadataValue.md(pictures.markdown(key.replace("_", " "), svg)) for key, svg in drawn.items()
    }
