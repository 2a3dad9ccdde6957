"""Each figure of a solver is what a plain reading of its definition gives, whatever the order of the rows."""

from collections import Counter, defaultdict
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.quality.aggregation import aggregate
from hiveguard_pipeline.quality.solvers import columns_of, measure_solvers, solver_rows
from hiveguard_pipeline.quality.solvers.figures import wilson
from hiveguard_pipeline.quality.solvers.others import others_of
from hiveguard_pipeline.quality.solvers.spot_checks import draw_votes
from hiveguard_pipeline.quality.solvers.streaks import streaks
from hiveguard_pipeline.quality.solvers.times import quartiles, times
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd
from tests.quality.crowds import Items, made
from tests.quality.solver_crowds import Plan, crowd_of

ITEMS = st.lists(
    st.dictionaries(st.sampled_from("pqrstuv"), st.sampled_from("abc"), max_size=7).map(
        lambda votes: list(votes.items())
    ),
    min_size=1,
    max_size=12,
)


def plainly(crowd: Crowd, excluded: set[str]) -> dict[str, dict[str, list[object]]]:
    """By solver: whether each compared vote agrees, the consensus it met, and the pairs it is in."""
    found: dict[str, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
    for item in range(len(crowd.item_ids)):
        rows = range(crowd.offsets[item], crowd.offsets[item + 1])
        votes = [(crowd.solvers[crowd.solver[row]], crowd.classes[crowd.answer[row]]) for row in rows]
        for solver, answer in votes:
            others = [said for who, said in votes if who != solver and who not in excluded]
            found[solver]["pairs"] += [said == answer for said in others]
            ranked = Counter(others).most_common()
            if ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1]):
                found[solver]["met"].append((answer, ranked[0][0]))
    return found


def test_a_vote_meets_the_consensus_of_the_others_and_never_its_own() -> None:
    crowd = made([[("p", "a"), ("q", "a"), ("r", "b")], [("p", "b")], [("p", "a"), ("q", "b")]])
    others = others_of(crowd, np.ones(len(crowd.answer), dtype=bool))
    named = [None if code == NO_LABEL else crowd.classes[code] for code in others.consensus]
    assert named == [None, None, "a", None, "b", "a"]
    assert others.total.tolist() == [2, 2, 2, 0, 1, 1]
    assert others.same.tolist() == [1, 1, 0, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(ITEMS, st.sets(st.sampled_from("pqr"), max_size=2))
def test_agreement_and_kappa_are_those_of_a_plain_count(items: Items, excluded: set[str]) -> None:
    crowd = made(items, ["a", "b", "c"])
    out = np.array([name in excluded for name in crowd.solvers], dtype=bool)
    quality = measure_solvers(crowd, out)
    expected = plainly(crowd, excluded)
    for code, name in enumerate(crowd.solvers):
        met, pairs = expected[name]["met"], expected[name]["pairs"]
        assert quality.compared[code] == len(met)
        assert quality.paired[code] == len(pairs)
        if pairs:
            assert quality.others_agreement[code] == pytest.approx(np.mean(pairs))
        if met:
            own, theirs = zip(*met, strict=True)
            observed = np.mean([a == b for a, b in met])
            assert quality.consensus_agreement[code] == pytest.approx(observed)
            chance = sum(own.count(k) * theirs.count(k) for k in "abc") / len(met) ** 2
            if chance < 1:
                assert quality.cohens_kappa[code] == pytest.approx((observed - chance) / (1 - chance))
            else:
                assert np.isnan(quality.cohens_kappa[code])
        else:
            assert np.isnan(quality.consensus_agreement[code])


@pytest.mark.parametrize("seed", range(3))
def test_figures_hang_on_no_order_of_rows(seed: int) -> None:
    crowd = crowd_of(Plan(solvers=20, items=40, votes=5, coin_flippers=[0, 1]), seed)
    shuffled = np.random.default_rng(seed).random(len(crowd.answer))
    order = np.lexsort((shuffled, crowd.item))
    other = Crowd(
        crowd.offsets,
        crowd.solver[order],
        crowd.answer[order],
        crowd.vote_id[order],
        crowd.duration_ms[order],
        crowd.item_ids,
        crowd.external_ids,
        crowd.gold,
        crowd.solvers,
        crowd.classes,
    )
    first, second = (list(solver_rows(measure_solvers(votes))) for votes in (crowd, other))
    for a, b in zip(first, second, strict=True):
        for name, value in a.items():
            close = pytest.approx(b[name], rel=1e-6, abs=1e-9) if isinstance(value, float) else b[name]
            assert value == close, name
    assert crowd.vote_id[draw_votes(crowd)].tolist() == other.vote_id[draw_votes(other)].tolist()


def test_gold_accuracy_has_wilsons_interval() -> None:
    from scipy.stats import binomtest

    crowd = crowd_of(Plan(solvers=20, items=100, votes=5), 3)
    quality = measure_solvers(crowd)
    is_gold = crowd.gold[crowd.item] != NO_LABEL
    for code in range(20):
        mine = is_gold & (crowd.solver == code)
        right = int((crowd.answer[mine] == crowd.gold[crowd.item][mine]).sum())
        assert quality.gold_votes[code] == mine.sum()
        if mine.any():
            assert quality.gold_accuracy[code] == pytest.approx(right / mine.sum())
            interval = binomtest(right, int(mine.sum())).proportion_ci(method="wilson")
            assert (quality.gold_low[code], quality.gold_high[code]) == pytest.approx(interval)
    assert np.isnan(wilson(np.array([0]), np.array([0]))[0]).all()


def test_accuracy_under_the_model_is_the_models_own() -> None:
    crowd = crowd_of(Plan(solvers=20, items=100, votes=5), 4)
    quality = measure_solvers(crowd)
    assert quality.model_accuracy == pytest.approx(aggregate(crowd, "dawid_skene").solver_accuracy, abs=1e-6)


def test_bias_is_the_share_given_less_the_share_expected() -> None:
    crowd = crowd_of(Plan(solvers=20, items=100, votes=5, one_class=[3]), 5)
    quality = measure_solvers(crowd)
    probability = aggregate(crowd, "dawid_skene").probability
    for code in (0, 3, 7):
        mine = crowd.solver == code
        given_share = np.bincount(crowd.answer[mine], minlength=3) / mine.sum()
        expected = probability[crowd.item[mine]].mean(axis=0)
        assert quality.bias[code] == pytest.approx(given_share - expected)
        assert quality.bias[code].sum() == pytest.approx(0)
    assert quality.bias[3, 0] == quality.bias[:, 0].max() > 0.3
    assert quality.classes[quality.leans_to[3]] == "c0"


def test_an_excluded_solver_is_measured_and_says_nothing_of_others() -> None:
    crowd = crowd_of(Plan(solvers=30, items=200, votes=6, coin_flippers=[2]), 6)
    out = np.arange(30) == 2
    quality = measure_solvers(crowd, out)
    without = measure_solvers(crowd.only(crowd.solver != 2))
    assert quality.excluded.tolist() == out.tolist()
    assert quality.votes[2] > 0
    assert quality.consensus_agreement[2] < np.nanmin(quality.consensus_agreement[~out])
    for name in ("consensus_agreement", "others_agreement", "cohens_kappa", "model_accuracy"):
        assert getattr(quality, name)[~out] == pytest.approx(getattr(without, name)[~out], nan_ok=True), name
    for measure, q in quality.outliers.q.items():
        assert q[~out] == pytest.approx(without.outliers.q[measure][~out], nan_ok=True), measure


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 10_000)), min_size=1, max_size=60))
def test_quartiles_are_numpys(rows: list[tuple[int, int]]) -> None:
    solver, value = np.array(rows).T
    found = quartiles(solver, value.astype(float), np.bincount(solver, minlength=5))
    for code in range(5):
        mine = value[solver == code]
        expected = np.percentile(mine, [25, 50, 75]) if len(mine) else [np.nan] * 3
        assert [column[code] for column in found] == pytest.approx(expected, nan_ok=True)


def test_an_answer_is_too_fast_three_deviations_under_the_usual_log_time() -> None:
    crowd = crowd_of(Plan(solvers=30, items=600, votes=6, evenly=True), 7)
    nobody = np.zeros(30, dtype=bool)
    found = times(crowd, nobody)
    # Paces and answers vary by 0.5 and 0.7 in logarithms around 8.5.
    assert found.threshold_ms == pytest.approx(np.exp(8.5 - 3 * np.hypot(0.5, 0.7)), rel=0.6)
    under = crowd.duration_ms < found.threshold_ms
    shares = [under[crowd.solver == code].mean() for code in range(30)]
    assert found.fast_share == pytest.approx(shares)
    assert 0 < under.mean() < 0.02
    crowd.duration_ms[:] = 700
    assert times(crowd, nobody).fast_share.max() == 0
    crowd.duration_ms[:] = NO_DURATION
    untimed = times(crowd, nobody)
    assert untimed.threshold_ms is None
    assert np.isnan(untimed.median_ms).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=25), st.lists(st.sampled_from("pq"), max_size=25)
)
def test_the_longest_streak_is_the_longest_run_in_order_of_the_votes(
    answers: list[str], solvers: list[str]
) -> None:
    said = list(zip(solvers, answers, strict=False)) or [("p", answers[0])]
    crowd = made([[vote] for vote in said], ["a", "b", "c"])
    found = streaks(crowd, np.full(len(said), NO_LABEL))
    for code, name in enumerate(crowd.solvers):
        runs = [(len(list(run)), answer) for answer, run in groupby(a for s, a in said if s == name)]
        assert found.longest[code] == max(length for length, _ in runs)
        assert (found.longest[code], crowd.classes[found.answer[code]]) in runs
        assert found.p[code] <= found.chance[code]


def test_the_chance_of_a_streak_is_at_least_what_shuffling_shows() -> None:
    """The bound holds: of shuffled answers, no more than a share of x come with a chance of x or less."""
    random = np.random.default_rng(8)
    answers = list("a" * 20 + "b" * 10 + "c" * 5)
    chances = []
    for _ in range(400):
        crowd = made([[("p", answer)] for answer in random.permutation(answers)], ["a", "b", "c"])
        chances.append(float(streaks(crowd, np.full(len(answers), NO_LABEL)).p[0]))
    for level in (0.02, 0.05, 0.1, 0.3):
        assert np.mean(np.array(chances) <= level) <= level
    crowd = made([[("p", answer)] for answer in answers], ["a", "b", "c"])
    assert streaks(crowd, np.full(len(answers), NO_LABEL)).p[0] < 0.01


def test_items_sorted_by_class_make_no_streak_improbable() -> None:
    said = "a" * 40 + "b" * 40
    crowd = made([[("p", answer)] for answer in said])
    consensus = np.repeat([0, 1], 40)
    assert streaks(crowd, consensus).p[0] == 1
    assert streaks(crowd, np.full(80, NO_LABEL)).p[0] < 1e-9


@pytest.mark.parametrize("share", [0.1, 0.15, 1.0])
def test_spot_checks_are_a_share_of_each_solvers_votes_and_at_least_one(share: float) -> None:
    crowd = crowd_of(Plan(solvers=30, items=300, votes=5), 9)
    drawn = draw_votes(crowd, share, seed=4)
    votes = np.bincount(crowd.solver, minlength=30)
    checked = np.bincount(crowd.solver[drawn], minlength=30)
    assert len(set(drawn.tolist())) == len(drawn)
    assert checked.tolist() == np.ceil(votes * share - 1e-9).astype(int).tolist()
    assert (checked[votes > 0] >= 1).all()
    assert draw_votes(crowd, share, seed=4).tolist() == drawn.tolist()
    if share < 1:
        assert draw_votes(crowd, share, seed=5).tolist() != drawn.tolist()


def test_every_vote_is_as_likely_to_be_drawn_and_most_of_a_sample_stays_when_votes_come() -> None:
    crowd = made([[("p", "a")] for _ in range(100)])
    drawn = np.concatenate([draw_votes(crowd, 0.1, seed) for seed in range(400)])
    times_drawn = np.bincount(drawn, minlength=100)
    assert times_drawn.mean() == 40
    assert 15 < times_drawn.min() <= times_drawn.max() < 70  # binomial, sd 6
    grown = made([[("p", "a")] for _ in range(120)])
    before, after = set(draw_votes(crowd).tolist()), set(draw_votes(grown).tolist())
    assert len(before & after) >= 6


def test_rows_are_flat_with_nothing_but_plain_values() -> None:
    crowd = crowd_of(Plan(solvers=15, items=60, votes=4, timed=False, gold=0), 10)
    quality = measure_solvers(crowd)
    rows = list(solver_rows(quality))
    assert [row["solver_id"] for row in rows] == crowd.solvers
    for row in rows:
        assert list(row) == columns_of(quality)
        assert {type(value) for value in row.values()} <= {str, int, float, bool, type(None)}
        assert row["median_ms"] is None
        assert row["gold_accuracy"] is None
    assert [name for name in rows[0] if name.startswith("bias_")] == ["bias_c0", "bias_c1", "bias_c2"]


@pytest.mark.parametrize("items", [[], [[]], [[("p", "a")]], [[("p", "a"), ("q", "b")]] * 3])
def test_a_crowd_too_small_to_tell_is_measured_and_flags_nobody(items: Items) -> None:
    quality = measure_solvers(made(items))
    assert not quality.outliers.flagged.any()
    assert len(list(solver_rows(quality))) == len(quality)
