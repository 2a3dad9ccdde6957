"""How many items will have graduated after how many more votes: the Monte Carlo, and its intervals."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.foresight.answers import Answers, Floats, draw_shares
from hiveguard_pipeline.foresight.exits import draw_exits
from hiveguard_pipeline.foresight.order import as_given, served
from hiveguard_pipeline.foresight.standing import Standing
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import State

DRAWS = 300
ITEMS_AT_ONCE = 2_000
"""Items of the pool that a draw follows; of a larger pool each draw takes others, and stands for all."""

LEVEL = 0.9
"""Of the intervals: each end is passed by one draw in twenty."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The median of a number and its interval; inf where the draws never reach it."""

    median: float
    low: float
    high: float


@dataclass(slots=True)
class Outlook:
    """What may become of a dataset's items, in draws.

    items, graduated, in_review: items that can graduate, and how many of them stand there now. leaves: for
    each draw the further votes after which items leave the pool as graduated, ascending; reviews: the
    same for those that go to review. stands_for: how many items one followed item is.
    """

    items: int
    graduated: int
    in_review: int
    leaves: list[Floats]
    reviews: list[Floats]
    unsettled: list[int]
    stands_for: float

    def graduated_after(self, votes: float) -> Interval:
        """Items graduated after so many further votes."""
        return self._items_after(self.graduated, self.leaves, votes)

    def in_review_after(self, votes: float) -> Interval:
        """Items flagged for review after so many further votes."""
        return self._items_after(self.in_review, self.reviews, votes)

    def votes_until(self, items: int) -> Floats:
        """Further votes of the dataset until so many items have graduated; a number a draw, inf for never."""
        wanted = int(np.ceil((items - self.graduated) / self.stands_for))
        if items <= self.graduated:
            return np.zeros(len(self.leaves))
        return np.array([done[wanted - 1] if wanted <= len(done) else np.inf for done in self.leaves])

    def ends_in_review(self) -> Interval:
        """Items that end in the hands of reviewers: flagged, or without a majority."""
        ends = [
            self.in_review + self.stands_for * (len(done) + left)
            for done, left in zip(self.reviews, self.unsettled, strict=True)
        ]
        return interval(np.array(ends, dtype=float))

    def _items_after(self, now: int, leaves: list[Floats], votes: float) -> Interval:
        counts = [np.searchsorted(done, votes, side="right") for done in leaves]
        return interval(np.round(now + self.stands_for * np.array(counts, dtype=float)))


def interval(drawn: Floats) -> Interval:
    """Median and interval of draws, each a value that was drawn."""
    edge = (1 - LEVEL) / 2
    low, median, high = np.quantile(drawn, [edge, 0.5, 1 - edge], method="inverted_cdf")
    return Interval(float(median), float(low), float(high))


def look_ahead(
    standing: Standing,
    policy: Policy,
    seed: int | None = None,
    draws: int = DRAWS,
    arrivals: Integers | None = None,
) -> Outlook:
    """Follow a dataset's items through votes to come, `draws` times. The same seed gives the same.

    arrivals: the item of each vote to come (position in standing.state); None: votes come as the pool's
    rule of selection serves items, as many as it takes. standing.model must be there.
    """
    assert standing.model is not None
    random = np.random.default_rng(seed)
    parameters = standing.model.draw(draws, random)
    drift = random.normal(0.0, standing.model.drift, draws)
    pool = len(standing.pool)
    followed = pool if arrivals is not None else min(pool, ITEMS_AT_ONCE)
    outlook = Outlook(
        items=len(standing.state),
        graduated=int((standing.state == State.GRADUATED).sum()),
        in_review=int((standing.state == State.NEEDS_REVIEW).sum()),
        leaves=[],
        reviews=[],
        unsettled=[],
        stands_for=pool / followed if followed else 1.0,
    )
    number = np.full(len(standing.state), -1)
    number[standing.pool_items] = np.arange(pool)
    for draw in range(draws):
        chosen = np.sort(random.permutation(pool)[:followed])
        part = standing.pool.only(chosen)
        answers = Answers(standing.pool_answers.counts[chosen], standing.pool_answers.classes)
        shares = draw_shares(answers, parameters[draw], drift[draw], random)
        exits = draw_exits(part, shares, policy, answers.lumped, random)
        if arrivals is None:
            had = np.where(part.unlabeled, np.diff(part.waiting.offsets), 0)
            place = served(exits, had, random) * outlook.stands_for
        else:
            place = as_given(exits, number[arrivals])
        outlook.leaves.append(_times(place, exits.state == State.GRADUATED))
        outlook.reviews.append(_times(place, exits.state == State.NEEDS_REVIEW))
        outlook.unsettled.append(int((exits.state == State.UNLABELED).sum()))
    return outlook


def _times(place: Floats, chosen: Integers) -> Floats:
    times = np.sort(place[chosen])
    return np.asarray(times[np.isfinite(times)])
