"""Values cross to Arrow and back by buffers as pyarrow's own conversions take them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.store import arrow
from hiveguard_pipeline.store.arrow import from_numbers, from_texts, repeated, to_codes, to_numbers, to_values

TEXTS = st.lists(st.none() | st.text(max_size=5))


@settings(deadline=None)
@given(TEXTS)
def test_texts_are_the_same_strings(values: list[str | None]) -> None:
    found = from_texts(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, type=pa.string()))


def test_many_texts_are_the_same_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ["a", None, "", "ü"]
    few = from_texts(values)
    monkeypatch.setattr(arrow, "WORTH_PANDAS", 2)
    assert from_texts(values).equals(few)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-100, 100), st.booleans())),
    st.sampled_from([np.int8, np.int32, np.int64]),
)
def test_numbers_and_their_nulls_are_the_same_integers(rows: list[tuple[int, bool]], width: type) -> None:
    values = np.array([value for value, _ in rows], dtype=width)
    null = np.array([missing for _, missing in rows], dtype=bool)
    for mask in (None, null):
        found = from_numbers(values, null=mask)
        found.validate(full=True)
        assert found.equals(pa.array(values, mask=mask))
    spread = np.repeat(values, 2)[::2]
    assert from_numbers(spread).equals(pa.array(spread))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(0, 3))
def test_numbers_come_back_as_an_array_of_their_own(values: list[int], cut: int) -> None:
    column = pa.chunked_array([values[:cut], values[cut:]], type=pa.int64())
    for form in (column, column.combine_chunks(), column.slice(cut)):
        found = to_numbers(form)
        assert found.tolist() == form.to_pylist()
        assert found.flags.writeable


@settings(deadline=None)
@given(TEXTS, st.integers(0, 9))
def test_codes_stand_for_the_words_and_missing_for_none(values: list[str | None], cut: int) -> None:
    coded = pa.array(values, type=pa.string()).dictionary_encode()
    words = coded.dictionary.to_pylist()
    found = to_codes(coded.indices[cut:], -1)
    assert found.dtype == np.int32
    assert [None if code < 0 else words[code] for code in found.tolist()] == values[cut:]


@settings(deadline=None)
@given(TEXTS)
def test_values_are_pythons_own_however_many(values: list[str | None]) -> None:
    column = pa.chunked_array([values], type=pa.string())
    assert to_values(column, len(values)) == to_values(column, arrow.WORTH_PANDAS) == values


def test_one_text_fills_a_column() -> None:
    assert repeated("run", 3).to_pylist() == ["run"] * 3
    assert repeated("run", 0).to_pylist() == []
