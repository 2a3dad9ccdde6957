"""Labels and probabilities of a crowd: against a plain EM, crowd-kit, the literature, and in any order."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation import (
    METHODS,
    Prior,
    aggregate,
    evidence,
    model_from_bytes,
    posterior,
)
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd
from tests.quality.aggregation_crowds import (
    crowd_of,
    drawn_votes,
    plain_em,
    real_votes,
    votes_of,
)

GOLDEN = Path(__file__).with_name("golden") / "crowdkit_aggregation.json"
"""Written by crowd-kit: tests/quality/golden/write_crowdkit_aggregation.py."""

MODELS = ("one_coin", "dawid_skene")

votes = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("stuvw"), st.sampled_from("xyz")),
    min_size=1,
    max_size=25,
    unique_by=lambda vote: vote[:2],
)
golds = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"), max_size=3)
pseudo = st.sampled_from([0.0, 0.5, 2.0])


def labels(crowd: Crowd, code: np.ndarray) -> dict[str, str | None]:
    names = crowd.item_ids.to_pylist()
    return {
        name: None if own == NO_LABEL else crowd.classes[own]
        for name, own in zip(names, code.tolist(), strict=True)
    }


@pytest.mark.parametrize("method", MODELS)
@settings(max_examples=60, deadline=None)
@given(votes=votes, gold=golds, correct=pseudo, wrong=pseudo, classes=pseudo)
def test_em_is_that_of_a_plain_reading(
    method: str,
    votes: list[tuple[str, str, str]],
    gold: dict[str, str],
    correct: float,
    wrong: float,
    classes: float,
) -> None:
    voted = {item for item, *_ in votes}
    crowd = crowd_of(votes, {name: word for name, word in gold.items() if name in voted})
    found = aggregate(crowd, method, iterations=4, tolerance=0, prior=Prior(correct, wrong, classes))
    expected = plain_em(crowd, found.iterations, method == "one_coin", correct, wrong, classes)
    np.testing.assert_allclose(found.probability, expected, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(votes=votes, gold=golds, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_bit(
    method: str, votes: list[tuple[str, str, str]], gold: dict[str, str], order: object
) -> None:
    first = aggregate(crowd_of(votes, gold), method)
    order.shuffle(votes)  # type: ignore[attr-defined]
    second = aggregate(crowd_of(votes, gold), method)
    assert first.probability.tobytes() == second.probability.tobytes()
    assert first.label.tobytes() == second.label.tobytes()
    assert first.solver_accuracy.tobytes() == second.solver_accuracy.tobytes()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(votes=votes, gold=golds, use_gold=st.booleans())
def test_probabilities_are_probabilities(
    method: str, votes: list[tuple[str, str, str]], gold: dict[str, str], use_gold: bool
) -> None:
    crowd = crowd_of(votes, gold, items="g", classes=("never",))
    found = aggregate(crowd, method, use_gold=use_gold)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, atol=1e-12)
    assert (found.probability >= 0).all()
    assert (found.probability[:, 0] == 0).all()  # a class that nobody named
    assert np.isfinite(found.solver_accuracy).all()
    assert ((found.solver_accuracy >= 0) & (found.solver_accuracy <= 1 + 1e-12)).all()
    said = labels(crowd, found.label)
    assert said["g"] is None
    voted = {item for item, *_ in votes}
    assert {name for name, label in said.items() if label} == voted | (set(gold) if use_gold else set())
    if use_gold:
        assert all(said[name] == word for name, word in gold.items())
        assert all(found.probability[crowd.gold != NO_LABEL, crowd.gold[crowd.gold != NO_LABEL]] == 1)
    chosen = np.flatnonzero(found.label != NO_LABEL)
    best = found.probability[chosen].max(axis=1)
    assert (found.probability[chosen, found.label[chosen]] >= best - 1e-9).all()


def test_a_tie_goes_to_the_first_class() -> None:
    tied = crowd_of([("a", "s", "y"), ("a", "t", "x"), ("b", "s", "y"), ("c", "t", "y")])
    assert labels(tied, aggregate(tied, "majority").label) == {"a": "x", "b": "y", "c": "y"}
    ordered = crowd_of([("a", "s", "y"), ("a", "t", "x")], classes=("y", "x"))
    assert labels(ordered, aggregate(ordered, "majority").label) == {"a": "y"}


def test_majority_is_the_share_of_the_votes() -> None:
    crowd = crowd_of([("a", "s", "x"), ("a", "t", "x"), ("a", "u", "y"), ("b", "s", "y")])
    found = aggregate(crowd, "majority")
    np.testing.assert_allclose(found.probability, [[2 / 3, 1 / 3], [0, 1]])
    np.testing.assert_allclose(found.class_prior, [1 / 3, 2 / 3])
    np.testing.assert_allclose(found.solver_accuracy, [(2 / 3 + 1) / 2, 2 / 3, 1 / 3])
    assert (found.model, found.converged) == (None, True)


@pytest.mark.parametrize("method", METHODS)
def test_a_crowd_without_votes_has_no_labels_but_gold(method: str) -> None:
    crowd = crowd_of([], {"a": "x"}, classes=("x", "y"), items=("b",))
    found = aggregate(crowd, method)
    assert labels(crowd, found.label) == {"a": "x", "b": None}
    assert found.probability.tolist() == [[1, 0], [0.5, 0.5]]
    nothing = aggregate(crowd_of([], items=("b",)), method)
    assert (nothing.label.tolist(), nothing.probability.shape) == ([NO_LABEL], (1, 0))
    assert aggregate(crowd_of([]), method).label.tolist() == []


@pytest.mark.parametrize("method", METHODS)
def test_where_all_say_the_same_that_is_certain(method: str) -> None:
    crowd = crowd_of([(item, solver, "x") for item in "ab" for solver in "st"])
    found = aggregate(crowd, method)
    assert found.probability.tolist() == [[1.0], [1.0]]
    assert found.solver_accuracy.tolist() == [1.0, 1.0]


def test_dawid_skene_reads_a_solver_who_always_errs_the_same_way() -> None:
    """A majority cannot: two who swap the classes outvote one who does not."""
    made = [(f"{number:02d}", "xy"[number % 2]) for number in range(40)]
    swapped = {"x": "y", "y": "x"}
    known = dict(made[:10])
    cast = [(item, "honest", word) for item, word in made]
    cast += [(item, solver, swapped[word]) for item, word in made for solver in ("p", "q")]
    crowd = crowd_of(cast, known)
    assert labels(crowd, aggregate(crowd, "dawid_skene").label) == dict(made)
    assert labels(crowd, aggregate(crowd, "majority").label) != dict(made)
    blind = aggregate(crowd, "dawid_skene", use_gold=False)
    assert labels(crowd, blind.label) == {item: swapped[word] for item, word in made}


def test_solver_accuracy_and_parameters_find_the_solvers_again() -> None:
    cast, truth = drawn_votes(seed=5, items=400, solvers=12, classes=3, each=6)
    crowd = crowd_of(cast)
    right = dict(zip(crowd.item_ids.to_pylist(), truth, strict=True))
    shares = np.array([np.mean([right[i] == a for i, s, a in cast if s == name]) for name in crowd.solvers])
    for method in MODELS:
        found = aggregate(crowd, method)
        assert found.converged
        assert np.abs(found.solver_accuracy - shares).max() < 0.06
        assert np.mean([labels(crowd, found.label)[item] == word for item, word in right.items()]) > 0.93
    confusion = found.model.confusion  # type: ignore[union-attr]
    assert confusion.shape == (12, 3, 3)
    np.testing.assert_allclose(confusion.sum(axis=2), 1, atol=1e-6)
    spread = np.einsum("t,stt->s", found.class_prior, confusion)
    assert np.abs(spread - shares).max() < 0.06


def test_a_prior_pulls_a_solver_of_few_votes_and_fills_the_confusion() -> None:
    crowd = crowd_of([("a", "s", "x"), ("a", "t", "x"), ("b", "t", "y"), ("b", "u", "y")])
    bare = aggregate(crowd, "dawid_skene")
    believed = aggregate(crowd, "dawid_skene", prior=Prior(correct=2, wrong=1))
    assert bare.solver_accuracy[0] == pytest.approx(1)
    assert believed.solver_accuracy[0] == pytest.approx((believed.probability[0, 0] + 2) / (1 + 3))
    confusion = believed.model.confusion  # type: ignore[union-attr]
    np.testing.assert_allclose(confusion.sum(axis=2), 1, atol=1e-6)
    # s never said y, and hardly ever saw a y: on y the prior alone speaks.
    assert confusion[0, 1, 1] == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize("method", MODELS)
def test_a_model_reads_its_own_crowd_and_parts_of_it_to_the_bit(method: str) -> None:
    cast, _ = drawn_votes(seed=2, items=60, solvers=9, classes=4, each=4)
    crowd = crowd_of(cast, {"item-003": "class-1", "item-050": "class-0"}, items=("none",))
    found = aggregate(crowd, method, prior=Prior(1, 0.5))
    assert found.model is not None
    again = model_from_bytes(found.model.to_bytes())
    assert posterior(again, crowd).tobytes() == found.probability.tobytes()
    some = [vote for vote in votes_of(crowd) if vote[0] in {"item-007", "item-031"}]
    part = posterior(again, crowd_of(some, classes=crowd.classes))
    names = crowd.item_ids.to_pylist()
    assert part.tobytes() == found.probability[[names.index("item-007"), names.index("item-031")]].tobytes()


@pytest.mark.parametrize("method", MODELS)
def test_solvers_that_a_model_does_not_know_count_as_the_average(method: str) -> None:
    cast, _ = drawn_votes(seed=3, items=80, solvers=8, classes=2, each=5)
    model = aggregate(crowd_of(cast), method).model
    assert model is not None
    read = posterior(model, crowd_of([("new", "nobody", "class-1"), ("newer", "else", "class-1")]))
    assert read[0].tolist() == read[1].tolist()
    assert 0.6 < read[0, 1] < 0.9
    with pytest.raises(BadInputError, match="'class-9': fit again"):
        posterior(model, crowd_of([("new", "nobody", "class-9")]))


def test_wrong_words_and_sizes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = crowd_of([("a", "s", "x"), ("b", "s", "y")])
    with pytest.raises(BadInputError, match="no method 'best'; there are majority, one_coin, dawid_skene"):
        aggregate(crowd, "best")
    with pytest.raises(BadInputError, match="1 iteration or more"):
        aggregate(crowd, "dawid_skene", iterations=0)
    with pytest.raises(BadInputError, match="wrong is a count"):
        Prior(wrong=-1)
    for data in (b"", b"PK nonsense", b"\x80\x04."):
        with pytest.raises(BadInputError, match="fit again"):
            model_from_bytes(data)
    monkeypatch.setattr(evidence, "MOST_PROBABILITIES", 3)
    with pytest.raises(BadInputError, match="2 items with 2 different answers"):
        aggregate(crowd, "majority")


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text())["cases"])
def test_probabilities_are_crowd_kits(case: dict[str, object]) -> None:
    """The golden file holds small drawn crowds, with and without gold, and what crowd-kit made of them."""
    crowd = crowd_of([tuple(vote) for vote in case["votes"]], case["gold"])  # type: ignore[arg-type,attr-defined,misc]
    found = aggregate(crowd, str(case["method"]), iterations=int(case["iterations"]), tolerance=0)  # type: ignore[call-overload]
    np.testing.assert_allclose(found.probability, case["probability"], atol=2e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(json.loads(GOLDEN.read_text())["real"]))
def test_labels_of_real_votes_are_crowd_kits(name: str, shared_votes: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    cast, _ = real_votes(shared_votes / name)
    crowd = crowd_of(cast)
    for method in METHODS:
        found = aggregate(crowd, method, iterations=golden["iterations"], tolerance=0)
        said = labels(crowd, found.label)
        text = "".join(f"{item}\t{said[item]}\n" for item in sorted(said))
        assert hashlib.sha256(text.encode()).hexdigest() == golden["real"][name][method], method


LITERATURE = {"majority": (0.932, 0.933), "dawid_skene": (0.960, 0.9605)}


@pytest.mark.parametrize("method", sorted(LITERATURE))
def test_d_possent_is_labelled_as_in_the_literature(method: str, shared_votes: Path) -> None:
    """Zheng, Li, Li, Shan and Cheng 2017, Truth Inference in Crowdsourcing, PVLDB 10(5)."""
    cast, truth = real_votes(shared_votes / "d_possent")
    crowd = crowd_of(cast)
    said = labels(crowd, aggregate(crowd, method).label)
    accuracy = np.mean([said[item] == word for item, word in truth.items()])
    assert LITERATURE[method][0] <= accuracy <= LITERATURE[method][1]
