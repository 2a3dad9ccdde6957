"""A fit that follows new votes stands where a reading of all votes under the same parameters would put it."""

import numpy as np
import pyarrow as pa
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation import Online, Prior, aggregate, posterior
from hiveguard_pipeline.quality.aggregation.item_index import ItemIndex
from hiveguard_pipeline.quality.aggregation.names import fixed_width
from tests.quality.aggregation_crowds import Vote, crowd_of, drawn_votes

MODELS = ("one_coin", "dawid_skene")
CLASSES = ("class-0", "class-1", "class-2")


def split(seed: int) -> tuple[list[Vote], list[list[Vote]]]:
    """Votes to begin with (some items and solvers are not in them), and three helpings that follow."""
    cast, _ = drawn_votes(seed, items=70, solvers=11, classes=3, each=6)
    random = np.random.default_rng(seed)
    late = [vote[0] >= "item-060" or vote[1] == "solver-10" or random.random() < 0.3 for vote in cast]
    after = [vote for vote, is_late in zip(cast, late, strict=True) if is_late]
    random.shuffle(after)
    helpings = [[tuple(vote) for vote in after[start::3]] for start in range(3)]
    return [vote for vote, is_late in zip(cast, late, strict=True) if not is_late], helpings  # type: ignore[return-value]


@pytest.mark.parametrize("prior", [Prior(), Prior(2, 1, 1)])
@pytest.mark.parametrize("method", MODELS)
def test_new_votes_leave_the_probabilities_of_a_reading_of_all_votes(method: str, prior: Prior) -> None:
    before, helpings = split(4)
    gold = {"item-001": "class-2"}
    crowd = crowd_of(before, gold, CLASSES)
    found = aggregate(crowd, method, prior=prior)
    online = Online.start(crowd, found)
    assert found.model is not None
    cast = before
    for number, helping in enumerate(helpings):
        if number == 2:  # an item becomes gold, and brings no vote
            gold |= {"item-002": "class-0"}
        cast = [*cast, *helping]
        new = crowd_of(helping, {name: gold[name] for name in gold if number == 2}, CLASSES)
        update = online.update(new)
        whole = crowd_of(cast, gold, CLASSES)
        names = whole.item_ids.to_pylist()
        touched = [new.item_ids[row].as_py() for row in update.items.tolist()]
        expected = posterior(found.model, whole)[[names.index(name) for name in touched]]
        np.testing.assert_allclose(update.probability, expected, atol=1e-12)
        assert update.label.tolist() == expected.argmax(axis=1).tolist()
        online = Online.from_bytes(online.to_bytes())
    assert {vote[0] for helping in helpings for vote in helping} >= {"item-060", "item-069"}


def test_statistics_add_up_to_expected_votes_and_a_refresh_learns_new_solvers() -> None:
    before, helpings = split(9)
    crowd = crowd_of(before, classes=CLASSES)
    found = aggregate(crowd, "dawid_skene")
    online = Online.start(crowd, found)
    expected: dict[tuple[str, str], np.ndarray] = {}
    held = dict(zip(crowd.item_ids.to_pylist(), found.probability, strict=True))
    for item, solver, answer in before:
        expected[solver, answer] = expected.get((solver, answer), 0) + held[item]
    for helping in helpings:
        new = crowd_of(helping, classes=CLASSES)
        update = online.update(new)
        names = [new.item_ids[row].as_py() for row in update.items.tolist()]
        held = dict(zip(names, update.probability, strict=True))
        for item, solver, answer in helping:
            expected[solver, answer] = expected.get((solver, answer), 0) + held[item]
    statistics = online.statistics
    cells = zip(statistics.solver.tolist(), statistics.answer.tolist(), statistics.counts, strict=True)
    counted = {(online.solvers[solver], CLASSES[answer]): row for solver, answer, row in cells}
    assert counted.keys() == expected.keys()
    for cell, row in expected.items():
        np.testing.assert_allclose(counted[cell], row, atol=1e-12)
    assert statistics.votes.sum() == len(before) + sum(map(len, helpings))
    accuracy = dict(zip(online.solvers, online.solver_accuracy(), strict=True))
    for solver in accuracy:
        own = [row[CLASSES.index(answer)] for (who, answer), row in expected.items() if who == solver]
        votes = sum(row.sum() for (who, _), row in expected.items() if who == solver)
        assert accuracy[solver] == pytest.approx(sum(own) / votes)
    refreshed = online.refreshed()
    assert "solver-10" in set(refreshed.solvers) - set(crowd.solvers)
    one = crowd_of([("new", "solver-10", "class-1")], classes=CLASSES)
    assert found.model is not None
    assert np.abs(posterior(refreshed, one) - posterior(found.model, one)).max() > 1e-3


def test_a_class_that_the_fit_has_not_seen_is_refused_and_changes_nothing() -> None:
    crowd = crowd_of([("a", "s", "x"), ("b", "t", "y")])
    online = Online.start(crowd, aggregate(crowd, "dawid_skene"))
    before = online.probability(np.arange(2)).tolist()
    with pytest.raises(BadInputError, match="the class 'z': fit again"):
        online.update(crowd_of([("a", "new", "x"), ("c", "s", "z")]))
    with pytest.raises(BadInputError, match="the class 'z': fit again"):
        online.update(crowd_of([("a", "new", "x")], {"a": "z"}))
    assert online.probability(np.arange(2)).tolist() == before
    assert (len(online.items), online.solvers) == (2, ["s", "t"])
    nothing = online.update(crowd_of([], items=("a", "b")))
    assert (len(nothing.items), len(online.items)) == (0, 2)


def test_a_majority_has_nothing_to_follow_and_other_bytes_are_refused() -> None:
    crowd = crowd_of([("a", "s", "x")])
    with pytest.raises(BadInputError, match="aggregate the touched items alone"):
        Online.start(crowd, aggregate(crowd, "majority"))
    model = aggregate(crowd, "dawid_skene").model
    assert model is not None
    for data in (b"nothing", model.to_bytes()):
        with pytest.raises(BadInputError, match="fit again"):
            Online.from_bytes(data)


def test_items_are_found_by_name_whatever_their_names() -> None:
    names = ["item-0001", "item-0002", "a", "item-00010", "ä", "b" * 40]
    index = ItemIndex.of(fixed_width(pa.array(names)))
    assert index.rows(fixed_width(pa.array(["ä", "item-0002", "a"]))).tolist() == [4, 1, 2]
    assert index.rows(fixed_width(pa.array(["item-0003", "a", "c" * 50]))).tolist() == [7, 2, 6]
    assert index.rows(fixed_width(pa.array([*names, "c" * 50]))).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert ItemIndex.of(fixed_width(pa.array([], pa.string()))).rows(np.array([b"x"])).tolist() == [0]
    assert fixed_width(pa.array(["x", "yy", "zz"])[1:]).tolist() == [b"yy", b"zz"]
