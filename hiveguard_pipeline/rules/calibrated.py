"""Calibrated probability: from an item's votes and what is known of their solvers to P(class).

Two opinions on each class, in logarithms, are weighed against each other. The first is the posterior of a
model that knows the solvers and takes their votes for independent. The second is the share of votes, which
knows no solver and is not fooled by ones that err together. A rising curve then says how often a class that
they hold to be so likely is right. Weights and curve are learnt from gold items, elsewhere; here they are
applied, to whole items or after each of their votes.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers

Reals = np.ndarray[Any, Any]
"""float64"""

LEAST = 1e-17
"""Posteriors below it count as it: a logarithm of -39."""

HALF_VOTE = 0.5
"""Added to each class's votes before the share is taken (Jeffreys' prior)."""

OPINIONS = 2

EQUAL = 1e-9
"""Probabilities so near one another are equal but for rounding."""


@dataclass(frozen=True, slots=True)
class Calibrator:
    """weights: of the two opinions. knots, values: the curve of the likeliest class's probability."""

    weights: tuple[float, ...]
    knots: tuple[float, ...]
    values: tuple[float, ...]

    def probability(self, opinions: Reals) -> Reals:
        """P(class) of items with these opinions: shape (items, classes), rows sum to 1.

        The curve moves the likeliest class; the others share what is left as they did before.
        """
        return self.shaped(weigh(opinions, np.array(self.weights)))

    def likeliest(self, opinions: Reals) -> tuple[Codes, Reals]:
        """The likeliest class of each item, and its probability: shapes (items,)."""
        held = weigh(opinions, np.array(self.weights))
        label = first_of_equals(held)
        return label, self.moved(held[np.arange(len(label)), label])

    def moved(self, probability: Reals) -> Reals:
        """What the curve makes of the likeliest class's probability: straight between knots, level beyond."""
        return np.asarray(np.interp(probability, np.array(self.knots), np.array(self.values)))

    def shaped(self, probability: Reals) -> Reals:
        """Probabilities of the weights alone, moved by the curve."""
        classes = probability.shape[1]
        if classes < 2:
            return probability
        rows = np.arange(len(probability))
        top = first_of_equals(probability)
        after = self.moved(probability[rows, top])
        shaped = probability.copy()
        shaped[rows, top] = 0
        rest = shaped.sum(axis=1)
        nothing = rest == 0
        shaped[nothing] = 1
        shaped[rows[nothing], top[nothing]] = 0
        rest[nothing] = classes - 1
        shaped *= ((1 - after) / rest)[:, None]
        shaped[rows, top] = after
        return np.asarray(shaped)

    def text(self) -> str:
        """As JSON, which `parse` reads back to the bit."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> "Calibrator":
        """What `text` wrote."""
        found = json.loads(text)
        return cls(tuple(found["weights"]), tuple(found["knots"]), tuple(found["values"]))


def first_of_equals(probability: Reals) -> Codes:
    """The likeliest class of each row, the first one of those within EQUAL: shape (rows,), int32."""
    if not probability.size:
        return np.zeros(len(probability), dtype=np.int32)
    most = probability.max(axis=1, keepdims=True)
    return np.asarray((probability >= most - EQUAL).argmax(axis=1).astype(np.int32))


def weigh(opinions: Reals, weights: Reals) -> Reals:
    """P(class) proportional to exp(weights . opinions): shape (items, classes).

    McFadden 1974, Conditional logit analysis of qualitative choice behavior (in Zarembka, Frontiers in
    Econometrics, pages 105 to 142): one weight an opinion serves all classes.
    """
    if not opinions.size:
        return np.zeros(opinions.shape[:2])
    score = opinions @ weights
    score -= score.max(axis=1, keepdims=True)
    np.exp(score, out=score)
    score /= score.sum(axis=1, keepdims=True)
    return np.asarray(score)


def opinions(likelihood: Reals, log_prior: Reals, counts: Reals) -> Reals:
    """Log posterior and log share of votes, each centred over the classes: shape (items, classes, OPINIONS).

    likelihood: ln P(votes | class), shape (items, classes). log_prior: ln P(class), shape (classes,).
    counts: votes of each class, shape (items, classes).
    """
    if not likelihood.size:
        return np.zeros((*likelihood.shape, OPINIONS))
    score = likelihood + log_prior
    score = score - score.max(axis=1, keepdims=True)
    posterior = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
    smoothed = counts + HALF_VOTE
    share = np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))
    pair = (np.maximum(posterior, np.log(LEAST)), share)
    return np.stack([opinion - opinion.mean(axis=1, keepdims=True) for opinion in pair], axis=2)


def after_each_vote(offsets: Integers, answers: Codes, evidence: Reals) -> tuple[Reals, Reals]:
    """ln P(votes so far | class) and votes of each class so far, after each vote: shapes (votes, classes).

    offsets: as in columns.Votes; answers: -1 for an answer that is no class here, which counts for none.
    evidence: ln P(this vote | class), shape (votes, classes). An item's sums run over its own votes alone,
    in their order, so that they are the same to the bit whichever other items are looked at with it.
    """
    counts = np.zeros(evidence.shape)
    known = np.flatnonzero(answers >= 0)
    counts[known, answers[known]] = 1
    likelihood = evidence.copy()
    lengths = np.diff(offsets)
    items = np.argsort(-lengths, kind="stable")
    sizes = -lengths[items]
    for step in range(1, int(lengths.max(initial=0))):
        longer = items[: np.searchsorted(sizes, -step)]
        place = offsets[longer] + step
        likelihood[place] += likelihood[place - 1]
        counts[place] += counts[place - 1]
    return likelihood, counts
