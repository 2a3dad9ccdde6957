"""Matching is optimal and symmetric; a consensus hangs on answers, not on their order; shares are exact."""

import json
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.rules.columns import Votes
from hiveguard_pipeline.rules.majority import first_pass
from hiveguard_pipeline.rules.structured.answer import Answer, answer_text, read_answer
from hiveguard_pipeline.rules.structured.consensus import consensus
from hiveguard_pipeline.rules.structured.judge import StructuredJudge
from hiveguard_pipeline.rules.structured.matching import agrees, f1, iou, matched

from . import structured_oracle as oracle


def box(x: float, y: float, w: float, h: float, label: str = "a", **more: Any) -> dict[str, Any]:
    return {"label": label, "bbox": [x, y, w, h], **more}


def answer(*boxes: dict[str, Any], **more: Any) -> Answer:
    return read_answer(json.dumps({"boxes": list(boxes), **more}))


crowded = st.lists(
    st.builds(
        box,
        *[st.integers(0, 12)] * 2,
        *[st.integers(1, 12)] * 2,
        label=st.sampled_from("aab"),
    ),
    max_size=5,
)
spans = st.lists(
    st.builds(
        lambda s, n, label: {"start": s, "end": s + n, "label": label},
        st.integers(0, 3),
        st.integers(1, 2),
        st.sampled_from("xy"),
    ),
    max_size=4,
)
marks = st.fixed_dictionaries(
    {"boxes": crowded}, optional={"spans": spans, "classes": st.lists(st.sampled_from("pqr"), max_size=3)}
)


@st.composite
def crowds(draw: st.DrawFn) -> list[str]:
    """Answers of several people to one image: objects that lie apart, each drawn by some, a little off."""
    random = Random(draw(st.integers(0, 2**32)))
    objects = [
        (100 * k, 50 * (k % 2), random.randint(20, 60), random.randint(20, 60))
        for k in range(random.randint(0, 4))
    ]
    texts = []
    for _ in range(draw(st.integers(1, 6))):
        drawn = [
            box(*(round(side + random.uniform(-2, 2), 2) for side in sides), label=random.choice("aaab"))
            for sides in objects
            if random.random() < 0.8
        ]
        texts.append(
            json.dumps(
                {"boxes": drawn} | ({"classes": [random.choice("pq")]} if random.random() < 0.3 else {})
            )
        )
    return texts


@settings(deadline=None)
@given(marks, marks)
def test_f1_is_that_of_the_best_of_all_ways_to_pair_and_symmetric(one: Any, other: Any) -> None:
    a, b = read_answer(json.dumps(one)), read_answer(json.dumps(other))
    expected = oracle.f1(oracle.read(answer_text(a)), oracle.read(answer_text(b)))
    assert f1(a, b) == f1(b, a) == round(expected * 10**6)
    assert agrees(a, b) == agrees(b, a) == (expected >= Fraction(1, 2))
    assert f1(a, a) == 10**6
    pairs = matched(a.boxes or (), b.boxes or ())
    count, overlap = oracle.best(*(oracle.read(answer_text(one))["boxes"] for one in (a, b)))
    assert len(pairs) == count
    assert sum(value for _, _, value in pairs) == overlap * 10**6
    assert len({mine for mine, _, _ in pairs}) == len({theirs for _, theirs, _ in pairs}) == len(pairs)


def test_matching_is_optimal_where_the_nearest_first_is_not() -> None:
    # The nearest pair is (10, 11): taken first, it leaves 7 and 14 without a partner.
    first, second = (
        answer(box(7, 0, 10, 10), box(11, 0, 10, 10)),
        answer(box(10, 0, 10, 10), box(14, 0, 10, 10)),
    )
    assert iou(first.boxes[1], second.boxes[0]) > iou(first.boxes[0], second.boxes[0])  # type: ignore[index]
    assert f1(first, second) == 10**6


def test_half_is_a_match_exactly_in_decimals_too() -> None:
    assert agrees(answer(box(0.1, 0, 0.2, 1)), answer(box(0.1, 0, 0.1, 1)))
    assert not agrees(answer(box(0.1, 0, 0.200001, 1)), answer(box(0.1, 0, 0.1, 1)))


def test_nothing_and_nothing_agree_and_nothing_and_something_do_not() -> None:
    assert f1(answer(), answer()) == 10**6
    assert f1(answer(), answer(box(0, 0, 1, 1))) == 0
    assert f1(answer(box(0, 0, 0, 5)), answer(box(0, 0, 0, 5))) == 10**6
    assert f1(answer(box(0, 0, 0, 5)), answer(box(1, 0, 0, 5))) == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(marks, min_size=1, max_size=6), st.randoms())
def test_a_consensus_hangs_on_no_order_and_its_share_lies_between_0_and_1(
    drawn: list[Any], random: Random
) -> None:
    answers: list[Answer | None] = [read_answer(json.dumps(one)) for one in drawn]
    label, share = consensus(answers, "boxes")
    assert 0 <= share <= 10**6
    assert isinstance(share, int)
    for _ in range(3):
        random.shuffle(answers)
        assert consensus(answers, "boxes") == (label, share)
    again = consensus(answers * 3, "boxes")[0]
    assert len(again.boxes or ()) >= 0  # several of one person's kind: no error, no endless turn


@settings(max_examples=200, deadline=None)
@given(crowds())
def test_a_consensus_is_the_plain_reading_of_the_rule(texts: list[str]) -> None:
    label, share = consensus([read_answer(text) for text in texts], "boxes")
    expected, exact = oracle.consensus(texts, "boxes")
    assert label == read_answer(json.dumps(expected))
    assert share == round(exact * 10**6)


def test_unanimous_answers_are_the_label_with_a_share_of_1() -> None:
    given = answer(
        box(0.1, 0.2, 3.3, 4.7), box(50, 50, 9, 9, "b"), spans=[{"start": 0, "end": 2, "label": "x"}]
    )
    assert consensus([given] * 5, "boxes") == (given, 10**6)


def test_coordinates_are_medians_and_of_two_the_mean_as_decimals_are() -> None:
    three = [answer(box(10, 10, 50, 50)), answer(box(12, 11, 50, 50)), answer(box(11, 12, 52, 48))]
    assert answer_text(consensus(three, "boxes")[0]) == answer_text(answer(box(11, 11, 50, 50)))
    two = [answer(box(10.1, 0, 5, 5)), answer(box(10.2, 0, 5, 5))]
    assert answer_text(consensus(two, "boxes")[0]) == answer_text(answer(box(10.15, 0, 5, 5)))


def test_the_segmentation_is_of_the_one_nearest_to_the_median_among_those_of_the_label() -> None:
    drawn = [
        answer(box(0, 0, 10, 10, attributes={"of": "far"})),
        answer(box(1, 0, 10, 10, attributes={"of": "median"})),
        answer(box(2, 0, 10, 10, "b", attributes={"of": "other label"})),
    ]
    label, _ = consensus(drawn, "boxes")
    assert answer_text(label) == answer_text(answer(box(1, 0, 10, 10, attributes={"of": "median"})))


def test_more_than_half_is_wanted_and_one_box_a_person() -> None:
    once, twice = answer(box(0, 0, 10, 10)), answer(box(0, 0, 10, 10), box(1, 0, 10, 10))
    assert consensus([once, answer()], "boxes")[0] == answer()
    assert len(consensus([twice, answer(), answer()], "boxes")[0].boxes or ()) == 0
    assert len(consensus([twice, twice, once], "boxes")[0].boxes or ()) == 2


def test_unmatched_boxes_on_either_side_count_as_0() -> None:
    label, share = consensus(
        [answer(box(0, 0, 10, 10)), answer(box(0, 0, 10, 10)), answer(box(50, 50, 5, 5))], "boxes"
    )
    assert label == answer(box(0, 0, 10, 10))
    assert share == round(Fraction(2, 3) * 10**6)  # the third has one box too many and one too few


def test_boxes_that_only_a_third_draws_over_join_at_whatever_place_that_one_came() -> None:
    left, middle, right = answer(box(0, 0, 10, 10)), answer(box(2.5, 0, 10, 10)), answer(box(5, 0, 10, 10))
    label, _ = consensus([left, right, middle], "boxes")
    assert label == middle


def test_an_unreadable_answer_is_one_of_the_n_that_marks_nothing_and_agrees_with_nothing() -> None:
    assert consensus([None, None, answer(box(0, 0, 9, 9))], "boxes") == (answer(), 0)
    label, share = consensus([None, answer(), answer()], "boxes")
    assert (label, share) == (answer(), round(Fraction(2, 3) * 10**6))


def test_the_judge_labels_at_the_threshold_and_each_pair_once() -> None:
    texts = ['{"spans":[{"start":0,"end":3,"label":"P"}]}', '{"spans":[]}', "rubbish"]
    judge = StructuredJudge(texts, "spans")
    votes = Votes(np.array([0, 3, 5, 9]), np.array([0, 0, 1, 0, 0, 2, 1, 0, 0], dtype=np.int32), judge)
    found = first_pass(votes, 3)
    assert found.prefix.tolist() == [3, 0, 3]
    assert found.agree.tolist()[::2] == [2, 1]
    assert found.confidence.tolist()[::2] == [666_667, 333_333]
    assert [judge.texts[code] for code in found.label[::2]] == [
        '{"spans":[{"end":3,"label":"P","start":0}]}',
        texts[1],
    ]
    codes = np.array([0, 1, 2, 2, 1], dtype=np.int32)
    labels = np.array([found.label[0], found.label[0], 1, 2, -1], dtype=np.int32)
    assert judge.agree(codes, labels).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("count", [60])
def test_crowded_images_are_matched_as_scipy_matches_them_whole(count: int) -> None:
    """The groups that share no box are assigned one by one; all at once must give as much."""
    from scipy.optimize import linear_sum_assignment

    random = Random(7)
    first, second = (
        answer(
            *(
                box(
                    random.randint(0, 200),
                    random.randint(0, 200),
                    random.randint(20, 40),
                    random.randint(20, 40),
                )
                for _ in range(count)
            )
        )
        for _ in range(2)
    )
    worth = np.array(
        [
            [iou(a, b) if agrees(Answer(boxes=(a,)), Answer(boxes=(b,))) else 0 for b in second.boxes or ()]
            for a in first.boxes or ()
        ]
    )
    rows, columns = linear_sum_assignment(np.where(worth > 0, worth + 10**9, 0), maximize=True)
    pairs = matched(first.boxes or (), second.boxes or ())
    assert sum(value for _, _, value in pairs) == worth[rows, columns].sum()
    assert len(pairs) == np.count_nonzero(worth[rows, columns])
