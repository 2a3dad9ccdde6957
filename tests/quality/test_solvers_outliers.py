"""Outliers: honest people who differ are left alone as often as is said, and the careless are found."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.solvers import measure_solvers
from hiveguard_pipeline.quality.solvers.outliers import adjusted_p
from hiveguard_pipeline.quality.solvers.variety import fit_variety, lower_tail, upper_tail
from hiveguard_pipeline.store.crowd import Crowd
from tests.quality.solver_crowds import Plan, crowd_of

HONEST = {
    "three classes": Plan(),
    "two classes, items sorted by class": Plan(classes=2, sorted_by_class=True),
    "skills far apart": Plan(skill=(6, 2)),
    "few votes an item": Plan(classes=5, votes=4, skill=(8, 3)),
    "a small crowd": Plan(solvers=15, items=150, votes=5),
}


def test_tails_are_scipys() -> None:
    from scipy.stats import betabinom, binom

    random = np.random.default_rng(0)
    n = random.integers(1, 200, 100)
    x = random.integers(0, n + 1)
    mean = random.uniform(0.05, 0.95, 100)
    for spread in (0.003, 0.1):
        a, b = mean * (1 - spread) / spread, (1 - mean) * (1 - spread) / spread
        assert lower_tail(x, n, mean, spread) == pytest.approx(betabinom.cdf(x, n, a, b), rel=1e-6)
        assert upper_tail(x, n, mean, spread) == pytest.approx(betabinom.sf(x - 1, n, a, b), rel=1e-6)
    assert lower_tail(x, n, mean, 0.0) == pytest.approx(binom.cdf(x, n, mean))


def test_adjusted_p_values_are_scipys_and_what_is_not_tested_stays_out() -> None:
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(1).random(50) ** 3
    assert adjusted_p(p) == pytest.approx(false_discovery_control(p))
    mixed = np.insert(p, 10, np.nan)
    assert np.isnan(adjusted_p(mixed)[10])
    assert np.delete(adjusted_p(mixed), 10) == pytest.approx(adjusted_p(p))


@pytest.mark.parametrize(("mean", "spread"), [(0.8, 0.02), (0.95, 0.05), (0.55, 0.0)])
def test_the_variety_of_a_crowd_is_found_on_the_wide_side_and_by_its_middle(
    mean: float, spread: float
) -> None:
    random = np.random.default_rng(2)
    n = random.integers(20, 200, 500)
    skill = (
        random.beta(mean * (1 - spread) / spread, (1 - mean) * (1 - spread) / spread, 500) if spread else mean
    )
    x = random.binomial(n, skill).astype(float)
    x[:40] = np.round(0.2 * n[:40])  # some who do not care
    found = fit_variety(x, n, np.full(500, 0.7))
    assert found is not None
    assert float(found.mean(np.array([0.7]))[0]) == pytest.approx(mean, abs=0.03)
    assert spread <= found.spread <= 2.5 * spread + 0.01


def flags_of_honest_crowds(plan: Plan, crowds: int) -> int:
    """How many of so many honest crowds have any flag."""
    return sum(bool(measure_solvers(crowd_of(plan, seed)).outliers.flagged.any()) for seed in range(crowds))


def most_by_chance(crowds: int, rate: float) -> int:
    """More flagged crowds than this come with a chance under 1 in 1,000 if the rate holds."""
    from scipy.stats import binom

    return int(binom.ppf(0.999, crowds, rate))


@pytest.mark.parametrize("plan", HONEST.values(), ids=HONEST)
def test_honest_crowds_are_left_alone(plan: Plan) -> None:
    assert flags_of_honest_crowds(plan, 12) <= most_by_chance(12, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("plan", HONEST.values(), ids=HONEST)
def test_of_many_honest_crowds_no_more_have_a_flag_than_the_stated_rate(plan: Plan) -> None:
    assert flags_of_honest_crowds(plan, 150) <= most_by_chance(150, 0.05)


BAD = Plan(
    solvers=60,
    items=1500,
    votes=10,
    evenly=True,
    skill=(30, 6),
    coin_flippers=[0, 1, 2],
    one_class=[3, 4],
    speeders=[5, 6],
    in_blocks=[7, 8],
    copiers=[9, 10, 11],
)


def test_those_who_do_not_care_are_found_for_what_they_do() -> None:
    found = measure_solvers(crowd_of(BAD, 1)).outliers
    reasons = {
        "consensus": BAD.coin_flippers,
        "one_class": BAD.one_class,
        "speed": BAD.speeders,
        "streak": BAD.in_blocks,
        "copying": BAD.copiers,
    }
    for reason, solvers in reasons.items():
        for solver in solvers:
            assert reason in found.reasons(solver), (reason, solver, found.reasons(solver))
    honest = np.arange(60) > 11
    assert (found.flagged & honest).sum() <= 2


def test_copiers_are_flagged_with_one_another() -> None:
    quality = measure_solvers(crowd_of(BAD, 2))
    for solver in BAD.copiers:
        assert int(quality.partners.partner[solver]) in set(BAD.copiers) - {solver}
        assert quality.partners.agreement[solver] == 1


def test_many_who_do_not_care_do_not_hide_one_another() -> None:
    plan = Plan(
        solvers=60,
        items=1500,
        votes=10,
        evenly=True,
        classes=4,
        skill=(60, 10),
        coin_flippers=list(range(15)),
    )
    found = measure_solvers(crowd_of(plan, 3)).outliers
    assert found.flagged[:15].all()
    assert found.flagged[15:].sum() <= 2


def test_a_lower_rate_flags_fewer_and_never_others() -> None:
    crowd = crowd_of(BAD, 4)
    strict, usual = (measure_solvers(crowd, rate=rate).outliers.flagged for rate in (1e-6, 0.05))
    assert strict.sum() < usual.sum()
    assert not (strict & ~usual).any()


def test_hard_items_make_no_outlier_of_who_got_them() -> None:
    """Half of the crowd sees hard items alone; each is as skilled as the others on those."""
    easy = Plan(solvers=40, items=400, votes=6, classes=2, hard_items=0.0, skill=(40, 4), timed=False)
    hard = replace(easy, solvers=12, items=120, hard_items=1.0)
    quality = measure_solvers(side_by_side(crowd_of(easy, 5), crowd_of(hard, 6)))
    on_hard = np.arange(52) >= 40
    assert (
        np.nanmean(quality.consensus_agreement[on_hard])
        < np.nanmean(quality.consensus_agreement[~on_hard]) - 0.1
    )
    assert not quality.outliers.by("consensus").any()


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(BadInputError, match="between 0 and 1"):
        measure_solvers(crowd_of(Plan(solvers=12, items=20), 0), rate=rate)


def side_by_side(first: Crowd, second: Crowd) -> Crowd:
    """Two crowds as one: other people on other items."""
    names = pa.array([f"item-{n:06}" for n in range(len(first.item_ids) + len(second.item_ids))])
    return Crowd(
        offsets=np.concatenate((first.offsets, second.offsets[1:] + first.offsets[-1])),
        solver=np.concatenate((first.solver, second.solver + len(first.solvers))).astype(np.int32),
        answer=np.concatenate((first.answer, second.answer)),
        vote_id=np.concatenate((first.vote_id, second.vote_id + len(first.vote_id))),
        duration_ms=np.concatenate((first.duration_ms, second.duration_ms)),
        item_ids=names,
        external_ids=names,
        gold=np.concatenate((first.gold, second.gold)),
        solvers=[f"s{n:05}" for n in range(len(first.solvers) + len(second.solvers))],
        classes=first.classes,
    )
