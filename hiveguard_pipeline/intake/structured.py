"""Structured answers of a file: into their one form, and what is wrong with those that have none.

Each different text is read once.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.answer import answer_text, canonical, read_given
from hiveguard_pipeline.rules.structured.faults import MALFORMED, fault

LONGEST_STRUCTURED = 1_000_000
"""Characters of a structured answer."""


def in_one_form(texts: Any, part: str, classes: Iterable[str] | None) -> tuple[Any, Any]:
    """Answers as they are stored, and why one cannot be; Arrow strings of the shape of the texts.

    part: what answers of the task type always have. A text that cannot be taken stays as it came; the
    reason is null where there is none, and for a text that is null or too long to be read.
    """
    known = None if classes is None else frozenset(classes)
    coded = texts.dictionary_encode()
    found = [_read(text, part, known) for text in coded.dictionary.to_pylist()]
    forms = pa.array([form for form, _ in found], type=pa.string())
    reasons = pa.array([reason for _, reason in found], type=pa.string())
    return forms.take(coded.indices), reasons.take(coded.indices)


def stored_form(texts: Any) -> Any:
    """Answers of the vote table in their one form: the challenge server may write them in another."""
    coded = texts.dictionary_encode()
    return pa.array([_form(text) for text in coded.dictionary.to_pylist()], type=pa.string()).take(
        coded.indices
    )


def _read(text: str | None, part: str, classes: frozenset[str] | None) -> tuple[str | None, str | None]:
    if text is None or not text.strip() or len(text) > LONGEST_STRUCTURED:
        return text, None
    try:
        answer = read_given(text, part)
    except BadInputError:
        return text, MALFORMED
    return answer_text(answer), fault(answer, classes)


def _form(text: str) -> str:
    try:
        return canonical(text)
    except BadInputError:
        return text
