"""A structured answer has one form, which says all that it said; what is no answer is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.answer import (
    MOST_MARKS,
    answer_of,
    answer_text,
    canonical,
    read_answer,
    renamed,
)
from hiveguard_pipeline.rules.structured.faults import fault

numbers = st.one_of(
    st.integers(-1000, 5000), st.floats(-1e5, 1e5, allow_nan=False), st.decimals(0, 999, places=2)
)
sides = st.one_of(st.integers(0, 5000), st.floats(0, 1e5, allow_nan=False))
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    str.strip
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), names
)
boxes = st.fixed_dictionaries(
    {"label": names, "bbox": st.tuples(numbers.map(float), numbers.map(float), sides, sides).map(list)},
    optional={
        "attributes": st.dictionaries(names, leaves, max_size=3),
        "segmentation": st.lists(
            st.lists(st.floats(0, 1000), min_size=6, max_size=8).filter(lambda p: len(p) % 2 == 0), max_size=2
        ),
    },
)
spans = st.tuples(st.integers(0, 500), st.integers(1, 50), names).map(
    lambda drawn: {"start": drawn[0], "end": drawn[0] + drawn[1], "label": drawn[2]}
)
answers = st.fixed_dictionaries(
    {"boxes": st.lists(boxes, max_size=5)},
    optional={"spans": st.lists(spans, max_size=5), "classes": st.lists(names, max_size=4)},
)


@settings(deadline=None)
@given(answers, st.randoms())
def test_the_one_form_is_the_same_whatever_the_order_and_its_own_form(
    answer: dict[str, Any], random: Any
) -> None:
    text = canonical(json.dumps(answer))
    assert canonical(text) == text
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False) == text
    for marks in answer.values():
        random.shuffle(marks)
    turned = dict(sorted(answer.items(), reverse=True))
    assert canonical(json.dumps(turned, indent=1)) == text


@settings(deadline=None)
@given(answers)
def test_nothing_is_lost_on_the_way_through_json(answer: dict[str, Any]) -> None:
    back = json.loads(canonical(json.dumps(answer)))
    for part, marks in answer.items():
        kept = [dict(mark) if isinstance(mark, dict) else mark for mark in marks]
        assert len(back[part]) == len({json.dumps(mark, sort_keys=True) for mark in back[part]})
        for mark in kept:
            assert mark in back[part]
        for mark in back[part]:
            assert mark in kept
    read = read_answer(json.dumps(answer))
    assert read_answer(answer_text(read)) == read


def test_floats_are_the_shortest_and_keys_sorted() -> None:
    text = '{"boxes": [{"label": "b", "bbox": [10, 2.50, 1e1, -0.0]}], "classes": ["z", "a", "z"]}'
    assert canonical(text.replace("-0.0", "0")) == (
        '{"boxes":[{"bbox":[10.0,2.5,10.0,0.0],"label":"b"}],"classes":["a","z"]}'
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("nonsense", "not JSON"),
        ("[]", "an object"),
        ("{}", "says nothing"),
        ('{"box": []}', "unknown key 'box'"),
        ('{"boxes": {}}', "boxes: a list"),
        ('{"boxes": [1]}', r"boxes\[0\]: an object"),
        ('{"boxes": [{"bbox": [0, 0, 1, 1]}]}', r"boxes\[0\]: there is no label"),
        ('{"boxes": [{"label": " ", "bbox": [0, 0, 1, 1]}]}', "the name of a class"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1]}]}', "four numbers"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, true, 1]}]}', "four numbers"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, "1", 1]}]}', "four numbers"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, NaN, 1]}]}', "NaN"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1e999, 1]}]}', "four numbers"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 3e9, 1]}]}', "four numbers"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, -1, 1]}]}', "at least 0"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1, 1], "score": 1}]}', "attributes"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1, 1], "segmentation": [[1, 2, 3]]}]}', "polygon"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1, 1], "segmentation": {"counts": "x"}}]}', "RLE"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1, 1], "attributes": [1]}]}', "attributes: an object"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, 1, 1], "attributes": {"x": 1e999}}]}', "JSON compliant"),
        ('{"spans": [{"start": 3, "end": 3, "label": "a"}]}', "start < end"),
        ('{"spans": [{"start": -1, "end": 3, "label": "a"}]}', "start < end"),
        ('{"spans": [{"start": 0.0, "end": 3, "label": "a"}]}', "whole numbers"),
        ('{"spans": [{"start": 0, "end": true, "label": "a"}]}', "whole numbers"),
        ('{"classes": [1]}', "the name of a class"),
        ('{"classes": ["\\ud800"]}', "surrogate"),
        ('{"boxes":' + "[" * 100_000, "nested"),
        ('{"boxes": [{"label": "a", "bbox": [0, 0, ' + "9" * 5000 + ", 1]}]}", "JSON|four numbers"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        read_answer(text)


def test_an_answer_has_no_more_boxes_than_can_be_compared() -> None:
    many = [{"label": "a", "bbox": [n, 0, 1, 1]} for n in range(MOST_MARKS["boxes"] + 1)]
    answer_of({"boxes": many[:-1]})
    with pytest.raises(BadInputError, match="1,001"):
        answer_of({"boxes": many})


def test_classes_are_renamed_inside_and_what_becomes_the_same_is_one() -> None:
    text = '{"boxes":[{"label":"auto","bbox":[0,0,1,1]},{"label":"car","bbox":[0,0,1,1]}],"classes":["auto"]}'
    assert (
        renamed(text, {"auto": "car"})
        == '{"boxes":[{"bbox":[0.0,0.0,1.0,1.0],"label":"car"}],"classes":["car"]}'
    )
    assert renamed("no answer", {"auto": "car"}) == "no answer"


@pytest.mark.parametrize(
    ("text", "size", "characters", "wrong"),
    [
        ('{"boxes":[{"label":"a","bbox":[0,0,640,480]}]}', (640, 480), None, None),
        ('{"boxes":[{"label":"a","bbox":[-1,-1,642,482]}]}', (640, 480), None, None),
        ('{"boxes":[{"label":"a","bbox":[0,0,641.01,480]}]}', (640, 480), None, "box_outside_image"),
        ('{"boxes":[{"label":"a","bbox":[-1.01,0,1,1]}]}', (640, 480), None, "box_outside_image"),
        ('{"boxes":[{"label":"a","bbox":[0,481,1,0.5]}]}', (640, 480), None, "box_outside_image"),
        ('{"boxes":[{"label":"a","bbox":[0,481,1,0.5]}]}', None, None, None),
        ('{"boxes":[{"label":"c","bbox":[0,0,1,1]}]}', None, None, "answer_not_in_classes"),
        ('{"classes":["a","c"]}', None, None, "answer_not_in_classes"),
        ('{"spans":[{"start":0,"end":5,"label":"b"}]}', None, 5, None),
        ('{"spans":[{"start":0,"end":6,"label":"b"}]}', None, 5, "span_outside_text"),
    ],
)
def test_what_does_not_fit_its_item_has_a_word(
    text: str, size: tuple[int, int] | None, characters: int | None, wrong: str | None
) -> None:
    assert fault(read_answer(text), {"a", "b"}, size, characters) == wrong
