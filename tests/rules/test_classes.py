"""Eras of classes: answers mean what a reading name by name says, in every era."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.rules.classes import Eras
from hiveguard_pipeline.rules.columns import NO_LABEL, Votes
from hiveguard_pipeline.rules.majority import first_pass
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.schema_versions import SchemaVersion, eras_of, mapped_words, maps_by_era

NAMES = "abcdefgh"


@st.composite
def changes(draw: st.DrawFn) -> list[dict[str, str]]:
    """Changes of classes one after the other, as merges and renames that no former name comes back by."""
    live, found = list(NAMES[:5]), []
    for new in draw(st.lists(st.sampled_from(["", *NAMES[5:]]), max_size=5, unique=True)):
        gone = draw(st.lists(st.sampled_from(live), min_size=1, max_size=2, unique=True))
        into = new or draw(st.sampled_from(live))
        change = {name: into for name in gone if name != into}
        live = [name for name in live if name not in change] + [new] * (new != "")
        found.append(change)
    return found


def _history(found: list[dict[str, str]], positions: list[int]) -> list[SchemaVersion]:
    return [
        SchemaVersion(number, "image_classification", None, "a change", change, position, "t", "t", "")
        for number, (change, position) in enumerate(zip([{}, *found], [0, *positions], strict=True), start=1)
    ]


@settings(deadline=None)
@given(changes(), st.text(NAMES, max_size=12), st.data())
def test_answers_mean_what_each_change_in_turn_makes_of_them(
    found: list[dict[str, str]], said: str, data: st.DataObject
) -> None:
    maps = maps_by_era(_history(found, [0] * len(found)), structured=False)
    words, mapping = mapped_words(pa.array(sorted(set(said)), type=pa.string()), maps)
    names = words.to_pylist()
    for era in range(len(found) + 1):
        for word in names:
            expected = word
            for change in found[:era]:
                expected = change.get(expected, expected)
            assert names[mapping[era, names.index(word)]] == expected
            assert maps[era].of_one(word) == expected
    assert (mapping[:, -1] == NO_LABEL).all()
    counts = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    answers = np.array(
        [data.draw(st.integers(0, max(len(names) - 1, 0))) for _ in range(sum(counts) if names else 0)],
        dtype=np.int32,
    )
    counts = counts if names else [0]
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    era_of_item = np.array([data.draw(st.integers(0, len(found))) for _ in counts])
    judged = first_pass(Votes(offsets, answers, Eras(mapping)), 2, era_of_item)
    read = mapping[np.repeat(era_of_item, counts), answers]
    plain = first_pass(Votes(offsets, read), 2)
    for column in ("prefix", "label", "agree", "confidence"):
        assert (getattr(judged, column) == getattr(plain, column)).all()
    newest = first_pass(Votes(offsets, answers, Eras(mapping)), 2)
    assert (newest.label == first_pass(Votes(offsets, mapping[-1, answers]), 2).label).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=6).map(sorted), st.lists(st.integers(1, 12), max_size=8))
def test_a_row_is_under_the_versions_that_began_below_it(positions: list[int], rows: list[int]) -> None:
    history = _history([{}] * len(positions), positions)
    found = eras_of(history, np.array(rows, dtype=np.int64))
    assert found.tolist() == [sum(position < row for position in [0, *positions]) - 1 for row in rows]


def test_texts_that_are_null_stay_so_and_others_are_left_alone() -> None:
    texts = pa.array(["a", None, "z", "b"])
    assert ClassMap({"a": "b"}).of(texts).to_pylist() == ["b", None, "z", "b"]
    assert ClassMap().of(texts) is texts
    assert ClassMap({"a": "b"}).of(pa.chunked_array([texts, texts])).to_pylist() == ["b", None, "z", "b"] * 2


def test_structured_answers_have_the_names_inside_replaced() -> None:
    box = '{"boxes":[{"bbox":[1.0,2.0,3.0,4.0],"label":"car"}]}'
    found = ClassMap({"car": "vehicle"}, structured=True).of(pa.array([box, None, "car", box]))
    named = box.replace("car", "vehicle")
    assert found.to_pylist() == [named, None, "car", named]
