"""Forecasts made at moments of the past of real crowds, held against what then came.

Real sets have 5 to 20 votes an item, so what is asked is how many items will have graduated, or be
flagged, after 30, 60 and 100% of the votes that came later, with the votes in their real order, and in
the order in which a pool would ask for them. Intervals that end where they begin count for nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hiveguard_pipeline.foresight.outlook import LEVEL, look_ahead
from hiveguard_pipeline.foresight.standing import standing_of
from hiveguard_pipeline.rules.columns import Items
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import State
from tests.foresight.crowds import Rows, crowd_of, read_rows, round_by_round, unlabeled


@dataclass
class Score:
    """Intervals that were not empty, those that held the truth, and their width as a share of the items."""

    asked: int = 0
    held: int = 0
    width: float = 0.0

    def add(self, other: "Score") -> "Score":
        return Score(self.asked + other.asked, self.held + other.held, self.width + other.width)


def _score(rows: Rows, cut: float, draws: int) -> Score:
    policy, now = Policy(), int(cut * len(rows))
    past = crowd_of(rows[:now], like=rows)
    outlook = look_ahead(
        standing_of(past, unlabeled(past), policy), policy, seed=1, draws=draws, arrivals=rows[now:, 0]
    )
    score = Score()
    for part in (0.3, 0.6, 1.0):
        votes = int(part * (len(rows) - now))
        then = fold(crowd_of(rows[: now + votes], like=rows).votes, Items.unlabeled(outlook.items), policy)
        for found, state in (
            (outlook.graduated_after(votes), State.GRADUATED),
            (outlook.in_review_after(votes), State.NEEDS_REVIEW),
        ):
            truth = int((then.items.state == state).sum())
            if not found.low == found.high == truth:
                held = int(found.low <= truth <= found.high)
                score = score.add(Score(1, held, (found.high - found.low) / outlook.items))
    return score


def _scored(folder: Path, sets: list[str], cuts: list[float], draws: int) -> Score:
    score = Score()
    for name in sets:
        real = read_rows(folder / name / "votes.csv")
        for rows in (real, round_by_round(real)):
            for cut in cuts:
                score = score.add(_score(rows, cut, draws))
    return score


def test_most_intervals_hold_what_then_came(shared_votes: Path) -> None:
    score = _scored(shared_votes, ["sp_amt", "cf_amt"], [0.25, 0.5], draws=80)
    assert score.asked >= 15
    assert score.held / score.asked >= LEVEL - 0.1
    assert score.width / score.asked < 0.1


@pytest.mark.slow
def test_most_intervals_hold_what_then_came_on_more_crowds_and_moments(shared_votes: Path) -> None:
    sets = ["sp_amt", "cf_amt", "d_possent", "snow_rte", "s4_dog"]
    score = _scored(shared_votes, sets, [0.15, 0.25, 0.4, 0.6], draws=200)
    print(score)
    assert score.asked >= 150
    assert score.held / score.asked >= LEVEL - 0.05
    assert score.width / score.asked < 0.12


def test_an_interval_narrows_as_votes_come(shared_votes: Path) -> None:
    rows = round_by_round(read_rows(shared_votes / "sp_amt" / "votes.csv"))
    widths = []
    for cut in (0.15, 0.4, 0.6):
        past = crowd_of(rows[: int(cut * len(rows))], like=rows)
        outlook = look_ahead(
            standing_of(past, unlabeled(past), Policy()), Policy(), 1, 80, rows[int(cut * len(rows)) :, 0]
        )
        found = outlook.graduated_after(np.inf)
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2]
