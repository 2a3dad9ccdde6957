"""Agreement by definition: against plain counting, whatever the order, and where nothing can be said."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.quality.agreement import FIGURES, Kappas, agreement, judge, pairwise, solver_pairs
from hiveguard_pipeline.quality.agreement import cohen as cohen_module
from hiveguard_pipeline.store.crowd import Crowd
from tests.quality.crowds import Items, made, simulated

votes_of_item = st.dictionaries(st.sampled_from("uvwxyz"), st.sampled_from("abc"), max_size=6)
crowds = st.lists(votes_of_item.map(lambda votes: list(votes.items())), max_size=8)


def plain_pairs(items: Items) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Two solvers, by name -> their answers on each item in common."""
    found = defaultdict(list)
    for votes in items:
        for (a, x), (b, y) in itertools.combinations(sorted(votes), 2):
            found[a, b].append((x, y))
    return found


def plain_kappa(answers: list[tuple[str, str]]) -> float:
    n = len(answers)
    observed = sum(x == y for x, y in answers) / n
    left, right = Counter(x for x, _ in answers), Counter(y for _, y in answers)
    chance = sum(left[label] * right[label] for label in left) / n**2
    return math.nan if chance == 1 else (observed - chance) / (1 - chance)


def mean_of(items: Items, label: str | None = None) -> float | None:
    weighted = []
    for answers in plain_pairs(items).values():
        seen = answers if label is None else [(str(x == label), str(y == label)) for x, y in answers]
        weighted.append((len(answers), plain_kappa(seen)))
    defined = [(n, kappa) for n, kappa in weighted if not math.isnan(kappa)]
    return sum(n * kappa for n, kappa in defined) / sum(n for n, _ in defined) if defined else None


def close(found: float | None, expected: float | None) -> bool:
    return found is None if expected is None else found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(crowds)
def test_figures_are_those_of_plain_counting(items: Items) -> None:
    found = agreement(made(items))
    shares = [
        sum(x == y for (_, x), (_, y) in itertools.combinations(votes, 2)) / math.comb(len(votes), 2)
        for votes in items
        if len(votes) >= 2
    ]
    expected = sum(shares) / len(shares) if shares else None
    assert close(found.figures["percent_agreement"].value, expected)
    assert close(found.figures["cohens_kappa"].value, mean_of(items))
    for entry in found.per_label:
        assert close(entry.figures["cohens_kappa"].value, mean_of(items, entry.label))
        beside = [
            (x == entry.label) + (y == entry.label)
            for votes in items
            for (_, x), (_, y) in itertools.combinations(votes, 2)
        ]
        specific = beside.count(2) * 2 / sum(beside) if sum(beside) else None
        assert close(entry.figures["specific_agreement"].value, specific)
    cells = zip(found.confusion.first, found.confusion.second, found.confusion.pairs, strict=True)
    assert {(found.classes[a], found.classes[b]): n for a, b, n in cells} == Counter(
        tuple(sorted((x, y))) for votes in items for (_, x), (_, y) in itertools.combinations(votes, 2)
    )


def joined(crowd: Crowd) -> list[tuple[str, str, int, float, float]]:
    rows = []
    for found in pairwise(crowd):
        assert isinstance(found, Kappas)
        columns = zip(found.first, found.second, found.items, found.kappa, found.error, strict=True)
        rows += [
            (crowd.solvers[a], crowd.solvers[b], int(n), float(k), float(e)) for a, b, n, k, e in columns
        ]
    return rows


@settings(max_examples=60, deadline=None)
@given(crowds)
def test_every_two_solvers_with_a_common_item_have_their_kappa(items: Items) -> None:
    found = joined(made(items))
    expected = plain_pairs(items)
    assert [row[:2] for row in found] == sorted(expected)
    for a, b, n, kappa, _ in found:
        assert n == len(expected[a, b])
        assert kappa == pytest.approx(plain_kappa(expected[a, b]), abs=1e-9, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(crowds, st.randoms(use_true_random=False))
def test_the_order_of_votes_changes_not_a_bit(items: Items, random: object) -> None:
    shuffled = [sorted(votes, key=lambda _: random.random()) for votes in items]  # type: ignore[attr-defined]
    assert agreement(made(shuffled)).as_object() == agreement(made(items)).as_object()
    assert repr(joined(made(shuffled))) == repr(joined(made(items)))


def test_small_slices_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = made(simulated(60, 6, [0.8] * 20, 4, seed=3))
    whole, pairs = agreement(crowd).as_object(), joined(crowd)
    monkeypatch.setattr(solver_pairs, "PAIRS_AT_ONCE", 7)
    monkeypatch.setattr(cohen_module, "_SUMS_AT_ONCE", 1)
    assert repr(joined(crowd)) == repr(pairs)
    sliced = agreement(crowd).as_object()
    for name in FIGURES:
        assert sliced[name] == pytest.approx(whole[name], abs=1e-12)
        assert sliced["intervals"][name] == pytest.approx(whole["intervals"][name], abs=1e-12)


@pytest.mark.parametrize("spread", [1, 1_000_003])
def test_keys_are_ranked_close_together_or_far_apart(spread: int) -> None:
    keys = np.array([5, 2, 5, 9, 2], dtype=np.int64) * spread
    found, place = solver_pairs.ranked(keys)
    assert found.tolist() == [2 * spread, 5 * spread, 9 * spread]
    assert place.tolist() == [1, 0, 1, 2, 0]


def resampled(crowd: Crowd, chance: np.random.Generator) -> Crowd:
    """As many items, drawn with replacement."""
    items = chance.integers(len(crowd.item_ids), size=len(crowd.item_ids))
    votes = crowd.votes.only(items)
    index = Crowd(
        **{name: getattr(crowd, name) for name in Crowd.__slots__}
        | {"answer": np.arange(len(crowd.answer), dtype=np.int32)}
    ).votes.only(items)
    taken = index.answers
    return Crowd(
        votes.offsets,
        crowd.solver[taken],
        crowd.answer[taken],
        crowd.vote_id[taken],
        crowd.duration_ms[taken],
        crowd.item_ids,
        crowd.external_ids,
        crowd.gold,
        crowd.solvers,
        crowd.classes,
    )


def test_intervals_are_as_wide_as_a_bootstrap_over_items_says() -> None:
    crowd = made(simulated(250, 5, np.linspace(0.5, 0.95, 8).tolist(), 3, seed=5))
    chance = np.random.default_rng(7)
    drawn = [agreement(resampled(crowd, chance)) for _ in range(300)]
    found = agreement(crowd)
    pairs = [(found.figures[name], [one.figures[name].value for one in drawn]) for name in FIGURES]
    for position, entry in enumerate(found.per_label):
        for name, figure in entry.figures.items():
            pairs.append((figure, [one.per_label[position].figures[name].value for one in drawn]))
    for figure, values in pairs:
        assert figure.low is not None
        assert figure.high is not None
        half = 1.97 * np.std([value for value in values if value is not None])
        assert (figure.high - figure.low) / 2 == pytest.approx(half, rel=0.2)


@pytest.mark.parametrize(
    ("items", "defined", "why"),
    [
        ([], set(), "no item has two votes"),
        ([[("u", "a")], [("v", "b")]], set(), "no item has two votes"),
        ([[("u", "a"), ("v", "a")]] * 3, {"percent_agreement"}, "all votes are for one label"),
    ],
    ids=["no item", "single votes", "one label"],
)
def test_what_the_votes_do_not_define_is_null_and_explained(
    items: Items, defined: set[str], why: str
) -> None:
    found = agreement(made(items, classes=("a", "b")))
    measured = found.as_object()
    assert {name for name in FIGURES if measured[name] is not None} == defined
    assert any(why in note for note in found.notes)
    assert {note.split()[0] for note in found.notes} >= set(FIGURES) - defined
    assert judge(found).passed


def test_one_item_has_figures_without_intervals() -> None:
    found = agreement(made([[("u", "a"), ("v", "a"), ("w", "b")]]))
    assert found.figures["percent_agreement"].value == pytest.approx(1 / 3)
    assert found.figures["percent_agreement"].interval is None
    assert any("one item gives no interval" in note for note in found.notes)


def test_classes_that_nobody_chose_are_no_categories() -> None:
    items = simulated(40, 4, [0.8] * 6, 2, seed=1)
    assert (
        agreement(made(items, classes=("0", "1", "never"))).as_object() == agreement(made(items)).as_object()
    )


def test_pairs_with_few_common_items_are_pointed_out() -> None:
    thin = [[(f"s{n}-{k}", "ab"[(n + k) % 3 > 0]) for k in range(3)] for n in range(30)]
    assert any("read fleiss_kappa" in note for note in agreement(made(thin)).notes)
    assert agreement(made(simulated(100, 4, [0.8] * 5, 2, seed=1))).notes == []


def test_of_more_labels_than_are_shown_those_with_most_votes_are() -> None:
    items = [[("u", f"rare-{n}"), ("v", "often")] for n in range(150)]
    found = agreement(made(items))
    assert len(found.per_label) == 100
    assert "often" in {entry.label for entry in found.per_label}
    assert any("151 labels were given" in note for note in found.notes)


def test_the_judgement_names_what_was_planted() -> None:
    items = simulated(300, 6, [0.97] * 15, 4, seed=2, flips=(4, 11))
    confused = [[(s, "3" if x == "2" and n % 2 else x) for s, x in votes] for n, votes in enumerate(items)]
    torn = [
        [(s, "32"[(n + k) % 2] if x in "23" else x) for k, (s, x) in enumerate(votes)]
        for n, votes in enumerate(confused)
    ]
    judged = judge(agreement(made(torn)))
    assert not judged.passed
    assert {row["label"] for row in judged.labels[:2]} == {"2", "3"}
    assert (judged.pairs[0]["first"], judged.pairs[0]["second"]) == ("2", "3")
    assert {row["solver"] for row in judged.solvers} == {"s004", "s011"}
    for named in ("2 / 3", "s004", "s011"):
        assert named in judged.text


def test_solvers_who_answer_alike_are_seldom_named() -> None:
    alarms = 0
    for seed in range(60):
        found = agreement(made(simulated(80, 5, [0.7] * 12, 3, seed=seed)))
        alarms += bool(len(found.of_solvers.named()))
    assert alarms <= 9  # 5% of 60 is 3; more than 9 has a chance of 1 in 1,000
