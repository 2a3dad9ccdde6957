"""Scores of texts and images from those of their tokens and boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection import box_uncertainty, token_uncertainty

COUNTS = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def _offsets(counts: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@given(COUNTS, st.sampled_from(["mean", "max"]), st.integers(0, 99))
def test_a_text_is_the_mean_or_maximum_of_its_tokens(counts: list[int], reduce, seed: int) -> None:  # type: ignore[no-untyped-def]
    first = np.random.default_rng(seed).uniform(0.5, 1.0, sum(counts))
    tokens = np.stack([first, 1 - first], axis=1)
    found = token_uncertainty(tokens, _offsets(counts), reduce=reduce)
    parts = np.split(1 - (2 * first - 1), _offsets(counts)[1:-1])
    take = {"mean": np.mean, "max": np.max}[reduce]
    assert found.tolist() == pytest.approx([take(part) if len(part) else 0.0 for part in parts])


@given(COUNTS, st.integers(0, 99))
def test_an_image_is_its_least_sure_box_and_one_without_boxes_is_half_way(
    counts: list[int], seed: int
) -> None:
    boxes = np.random.default_rng(seed).random(sum(counts))
    found = box_uncertainty(boxes, _offsets(counts))
    parts = np.split(boxes, _offsets(counts)[1:-1])
    assert found.tolist() == pytest.approx([1 - part.min() if len(part) else 0.5 for part in parts])
    asked = box_uncertainty(boxes, _offsets(counts), without_boxes=1.0)
    assert all(asked[i] == 1.0 for i, part in enumerate(parts) if not len(part))


@pytest.mark.parametrize("offsets", [[0, 1], [1, 2], [0, 2, 1, 2], [], [0.0, 2.0]])
def test_offsets_that_do_not_cover_the_parts_are_refused(offsets: list[float]) -> None:
    with pytest.raises(BadInputError, match="offsets"):
        box_uncertainty([0.5, 0.5], offsets)


def test_boxes_and_words_that_are_none_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"box 1 has 1\.5"):
        box_uncertainty([0.5, 1.5], [0, 2])
    with pytest.raises(BadInputError, match="without_boxes"):
        box_uncertainty([0.5], [0, 1], without_boxes=2)
    with pytest.raises(BadInputError, match="expected mean, max"):
        token_uncertainty([[0.5, 0.5]], [0, 1], reduce="sum")  # type: ignore[arg-type]
