"""The best n of many scores: exactly those of a full sort, however the scores are cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hiveguard_pipeline.learning.selection.top import top

SCORES = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@given(SCORES, st.data())
def test_it_is_a_full_sort_by_score_then_key_then_position(values: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(values)))
    width = data.draw(st.integers(1, len(values)))
    keys = data.draw(st.none() | st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    scores = np.array(values, dtype=float)
    chunks = [(start, scores[start : start + width]) for start in range(0, len(scores), width)]
    positions, best = top(chunks, n, None if keys is None else np.array(keys))
    wanted = sorted(range(len(values)), key=lambda i: (-values[i], keys[i] if keys else "", i))[:n]
    assert positions.tolist() == wanted
    assert best.tolist() == [values[i] for i in wanted]
