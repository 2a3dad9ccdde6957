"""Whether the people agree well enough, and if not, which labels, pairs of labels and solvers cause it.

What a labelling guide must make clear stands in the labels and pairs; whom to talk to, in the solvers.
"""

from dataclasses import dataclass
from typing import Any

from hiveguard_pipeline.quality.agreement.measured import Agreement
from hiveguard_pipeline.quality.terms import LEAST_KAPPA

MOST_NAMED = 10
PAIRS_SHARE = 0.5
"""Pairs of labels are named until they make up this share of all disagreement."""


@dataclass(slots=True)
class Judgement:
    """passed: whether Fleiss' kappa reaches LEAST_KAPPA; True where it is undefined, for lack of evidence.

    labels: those whose kappa against the rest is below it, by their part in the shortfall. pairs: of labels,
    most disagreement first. solvers: who disagree beyond chance, most first. text: the same in a sentence.
    """

    passed: bool
    kappa: float | None
    labels: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    solvers: list[dict[str, Any]]
    text: str


def judge(found: Agreement) -> Judgement:
    """Judge an agreement; nothing is named where it is good enough."""
    figure = found.figures["fleiss_kappa"]
    if figure.value is None:
        return Judgement(True, None, [], [], [], f"Fleiss' kappa is undefined: {figure.why}")
    if figure.value >= LEAST_KAPPA:
        return Judgement(
            True, figure.value, [], [], [], f"Fleiss' kappa {figure.value:.3f} is at least {LEAST_KAPPA}"
        )
    labels, pairs, solvers = _labels(found), _pairs(found), _solvers(found)
    named = [
        f"labels: {', '.join(row['label'] for row in labels)}",
        f"confused with each other: {', '.join(row['first'] + ' / ' + row['second'] for row in pairs)}",
    ]
    if solvers:
        named.append(f"solvers who disagree beyond chance: {', '.join(row['solver'] for row in solvers)}")
    text = f"Fleiss' kappa {figure.value:.3f} is under {LEAST_KAPPA}; {'; '.join(named)}"
    return Judgement(False, figure.value, labels, pairs, solvers, text)


def _labels(found: Agreement) -> list[dict[str, Any]]:
    """Fleiss' kappa is the mean of the labels' own, weighted by p (1 - p): so a shortfall has its parts."""
    rows = []
    for entry in found.per_label:
        figure = entry.figures["fleiss_kappa"]
        if figure.value is not None and figure.value < LEAST_KAPPA:
            share = entry.votes / found.votes
            weight = share * (1 - share) * (LEAST_KAPPA - figure.value)
            specific = entry.figures["specific_agreement"].value
            row = {"label": entry.label, "fleiss_kappa": figure.value, "specific_agreement": specific}
            rows.append((-weight, entry.label, row))
    return [row for *_, row in sorted(rows, key=lambda entry: entry[:2])][:MOST_NAMED]


def _pairs(found: Agreement) -> list[dict[str, Any]]:
    apart = found.confusion.disagreeing
    total, seen, rows = apart.total, 0, []
    for first, second, pairs in zip(
        apart.first[:MOST_NAMED].tolist(),
        apart.second[:MOST_NAMED].tolist(),
        apart.pairs[:MOST_NAMED].tolist(),
        strict=True,
    ):
        rows.append(
            {
                "first": found.classes[first],
                "second": found.classes[second],
                "pairs": pairs,
                "share_of_disagreement": pairs / total,
            }
        )
        seen += pairs
        if seen >= PAIRS_SHARE * total:
            break
    return rows


def _solvers(found: Agreement) -> list[dict[str, Any]]:
    crowd = found.of_solvers
    return [
        {
            "solver": found.solver_names[solver],
            "votes": int(crowd.votes[solver]),
            "agreement_with_others": float(crowd.agreement[solver]),
            "z": float(crowd.z[solver]),
            "chance": float(crowd.chance[solver]),
        }
        for solver in crowd.named()[:MOST_NAMED].tolist()
    ]
