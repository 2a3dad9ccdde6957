"""Solvers as flat rows: one a solver, plain values, the same names in every dataset; None where undefined."""

from collections.abc import Iterator
from typing import Any

from hiveguard_pipeline.quality.solvers.measured import SolverQuality
from hiveguard_pipeline.quality.terms import MEASURES

BIAS = "bias_"

_FIRST = [
    "solver_id",
    "excluded",
    "flagged",
    "reasons",
    "votes",
    "consensus_votes",
    "consensus_agreement",
    "cohens_kappa",
    "other_votes",
    "others_agreement",
    "gold_votes",
    "gold_accuracy",
    "gold_accuracy_low",
    "gold_accuracy_high",
    "model_accuracy",
    "timed_votes",
    "median_ms",
    "iqr_ms",
    "fast_share",
    "longest_streak",
    "streak_answer",
    "streak_chance",
    "leans_to",
    "most_alike",
    "most_alike_items",
    "most_alike_agreement",
]


def columns_of(quality: SolverQuality) -> list[str]:
    """Names of the columns: those of every dataset, then one `bias_<class>` a class."""
    tested = [f"{what}_{name}" for name in MEASURES for what in ("p", "q")]
    return _FIRST + tested + [f"{BIAS}{quality.classes[code]}" for code in quality.bias_classes]


def solver_rows(quality: SolverQuality, *, flagged_only: bool = False) -> Iterator[dict[str, Any]]:
    """A row a solver, by solver_id. reasons: names of MEASURES, by comma; None if he is not flagged."""
    found = quality.outliers
    tests = [values.tolist() for name in MEASURES for values in (found.p[name], found.q[name])]
    names = columns_of(quality)
    columns = zip(
        quality.excluded.tolist(),
        found.flagged.tolist(),
        quality.votes.tolist(),
        quality.compared.tolist(),
        quality.consensus_agreement.tolist(),
        quality.cohens_kappa.tolist(),
        quality.paired.tolist(),
        quality.others_agreement.tolist(),
        quality.gold_votes.tolist(),
        quality.gold_accuracy.tolist(),
        quality.gold_low.tolist(),
        quality.gold_high.tolist(),
        quality.model_accuracy.tolist(),
        quality.times.timed.tolist(),
        quality.times.median_ms.tolist(),
        quality.times.iqr_ms.tolist(),
        quality.times.fast_share.tolist(),
        quality.streaks.longest.tolist(),
        _named(quality.streaks.answer.tolist(), quality.classes),
        quality.streaks.chance.tolist(),
        _named(quality.leans_to.tolist(), quality.classes),
        _named(quality.partners.partner.tolist(), quality.solvers),
        quality.partners.common.tolist(),
        quality.partners.agreement.tolist(),
        *tests,
        *quality.bias.T.tolist(),
        strict=True,
    )
    for code, (excluded, flagged, *rest) in enumerate(columns):
        if flagged_only and not flagged:
            continue
        reasons = ",".join(found.reasons(code)) or None
        values = (quality.solvers[code], excluded, flagged, reasons, *rest)
        yield {
            name: None if value is None or value != value else value
            for name, value in zip(names, values, strict=True)
        }


def _named(codes: list[int], names: list[str]) -> list[str | None]:
    return [names[code] if code >= 0 else None for code in codes]
