"""A crowd's solvers, measured: all figures, and who stands out."""

from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation import aggregate
from hiveguard_pipeline.quality.solvers.bias import MOST_SHOWN, bias, leanings, most_voted
from hiveguard_pipeline.quality.solvers.copying import MOST_PAIRS, Likeness, Partners, likeness
from hiveguard_pipeline.quality.solvers.figures import cohens_kappa, shares, wilson
from hiveguard_pipeline.quality.solvers.others import Others, Reals, others_of
from hiveguard_pipeline.quality.solvers.outliers import (
    FALSE_DISCOVERY_RATE,
    Outliers,
    Test,
    agreeing,
    outliers,
    seldom_right,
)
from hiveguard_pipeline.quality.solvers.streaks import Streaks, streaks
from hiveguard_pipeline.quality.solvers.times import Times, times
from hiveguard_pipeline.quality.solvers.variety import FEWEST_UNITS
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd, read_crowd
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import list_exclusions

_MODEL = "dawid_skene"


@dataclass(slots=True)
class SolverQuality:
    """Columns by solver, shape (solvers,), in the order of the crowd's solvers; NaN where undefined.

    votes: all of his. compared: those whose others have a consensus; consensus_agreement: the share of them
    that gives it; cohens_kappa: the same beyond chance. paired: pairs with another's vote on the same item;
    others_agreement: the share of them that agree. gold_accuracy with its Wilson interval at 95%. under
    the model: the mean probability of what he answered. bias: shape (solvers, bias_classes).
    """

    solvers: list[str]
    classes: list[str]
    excluded: Mask
    votes: Integers
    compared: Integers
    consensus_agreement: Reals
    cohens_kappa: Reals
    paired: Integers
    others_agreement: Reals
    gold_votes: Integers
    gold_accuracy: Reals
    gold_low: Reals
    gold_high: Reals
    model_accuracy: Reals
    bias_classes: Codes
    bias: Reals
    leans_to: Codes
    times: Times
    streaks: Streaks
    partners: Partners
    outliers: Outliers
    notes: list[str] = field(default_factory=list)
    """What is left out, and why."""

    def __len__(self) -> int:
        return len(self.solvers)


def read_solver_quality(
    connection: sa.Connection, dataset: Dataset, rate: float = FALSE_DISCOVERY_RATE
) -> SolverQuality:
    """Measure a dataset's solvers, the excluded ones too, by the votes as they are."""
    crowd = read_crowd(connection, dataset, excluded=True)
    held = {exclusion.solver_id for exclusion in list_exclusions(connection, dataset)}
    return measure_solvers(crowd, np.array([name in held for name in crowd.solvers], dtype=bool), rate)


def measure_solvers(
    crowd: Crowd, excluded: Mask | None = None, rate: float = FALSE_DISCOVERY_RATE
) -> SolverQuality:
    """Measure the solvers of a crowd.

    excluded: solvers whose votes are evidence about them, but about nobody else, nor about any item: shape
    (solvers,). rate: the false discovery rate of the outliers. Raises BadInputError for a rate outside 0
    to 1. The result hangs on no order of the votes but each solver's own, by vote_id, in streaks.
    """
    solvers = len(crowd.solvers)
    out = np.zeros(solvers, dtype=bool) if excluded is None else excluded
    counted = ~out[crowd.solver]
    heard = crowd.only(counted) if out.any() else crowd
    others = others_of(crowd, counted)
    agrees = agreeing(crowd, others)
    is_gold = crowd.gold[crowd.item] != NO_LABEL
    right = is_gold & (crowd.answer == crowd.gold[crowd.item])
    of_gold = np.bincount(crowd.solver[is_gold], minlength=solvers)
    right_of_gold = np.bincount(crowd.solver[right], minlength=solvers)
    gold_low, gold_high = wilson(right_of_gold, of_gold)
    of_times, of_streaks = times(crowd, out), streaks(crowd, others.consensus)
    leans, alike = leanings(crowd, counted, others), likeness(heard)
    tests: dict[str, Test] = {
        "consensus": seldom_right(crowd, agrees, others.compared, counted),
        "gold": seldom_right(crowd, right, is_gold, counted),
        "one_class": leans.p,
        "streak": lambda _: of_streaks.p,
        "speed": of_times.p,
        "copying": alike.p,
    }
    found = outliers(tests, out, rate)
    model_accuracy, classes, biases, notes = _under_model(crowd, heard, counted)
    compared, consensus_agreement = shares(crowd.solver, agrees, others.compared, solvers)
    paired, others_agreement = _with_others(crowd, others)
    return SolverQuality(
        solvers=crowd.solvers,
        classes=crowd.classes,
        excluded=out,
        votes=np.bincount(crowd.solver, minlength=solvers),
        compared=compared,
        consensus_agreement=consensus_agreement,
        cohens_kappa=cohens_kappa(crowd, others),
        paired=paired,
        others_agreement=others_agreement,
        gold_votes=of_gold,
        gold_accuracy=shares(crowd.solver, right, is_gold, solvers)[1],
        gold_low=gold_low,
        gold_high=gold_high,
        model_accuracy=model_accuracy,
        bias_classes=classes,
        bias=biases,
        leans_to=leans.towards(found.usual),
        times=of_times,
        streaks=of_streaks,
        partners=alike.partners(found.usual),
        outliers=found,
        notes=notes + _notes(found, alike),
    )


def _with_others(crowd: Crowd, others: Others) -> tuple[Integers, Reals]:
    solvers = len(crowd.solvers)
    paired = np.bincount(crowd.solver, others.total, minlength=solvers).astype(np.int64)
    same = np.bincount(crowd.solver, others.same, minlength=solvers)
    return paired, np.divide(same, paired, out=np.full(solvers, np.nan), where=paired > 0)


def _under_model(crowd: Crowd, heard: Crowd, counted: Mask) -> tuple[Reals, Codes, Reals, list[str]]:
    """Accuracy and bias by what the model makes of the votes that count; notes if it cannot."""
    solvers = len(crowd.solvers)
    classes = most_voted(crowd, counted, MOST_SHOWN).astype(np.int32)
    accuracy, biases = np.full(solvers, np.nan), np.full((solvers, len(classes)), np.nan)
    notes = []
    try:
        fitted = aggregate(heard, _MODEL)
    except BadInputError as error:
        return (
            accuracy,
            classes[:0],
            biases[:, :0],
            [f"accuracy under the model and bias are left out: {error}"],
        )
    sums = np.bincount(crowd.solver, fitted.probability[crowd.item, crowd.answer], minlength=solvers)
    votes = np.bincount(crowd.solver, minlength=solvers)
    np.divide(sums, votes, out=accuracy, where=votes > 0)
    if len(classes):
        biases = bias(crowd, fitted.probability, classes)
    if len(classes) < len(crowd.classes):
        notes.append(f"{len(crowd.classes)} classes are known; bias is of the {len(classes)} with most votes")
    return accuracy, classes, biases, notes


def _notes(found: Outliers, alike: Likeness) -> list[str]:
    notes = []
    silent = [name for name, values in found.p.items() if np.isnan(values).all()]
    if silent and alike.solvers:
        notes.append(
            f"not tested: {', '.join(silent)} (no such votes, or fewer than {FEWEST_UNITS} solvers with"
            " enough of them to show how much people differ)"
        )
    if not alike.whole:
        notes.append(f"copying was looked for in the first {MOST_PAIRS:,} pairs of votes, by item_id")
    return notes
