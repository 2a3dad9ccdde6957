"""Structured answers of a dataset: who judges them, and how its texts become codes for that."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.structured.answer import answer_text, read_given
from hiveguard_pipeline.rules.structured.faults import OUTSIDE_CLASSES, OUTSIDE_IMAGE, fault
from hiveguard_pipeline.rules.structured.judge import StructuredJudge
from hiveguard_pipeline.rules.structured.tasks import STRUCTURED_TASKS, is_structured
from hiveguard_pipeline.store.datasets import Dataset

ITEMS_AT_ONCE = 20_000
"""Items whose structured answers are in memory together: an answer is some kilobytes of text."""


def at_once(dataset: Dataset, items: int) -> int:
    """How many items to take together, of which `items` are taken where answers are names of classes."""
    return min(items, ITEMS_AT_ONCE) if is_structured(dataset.task_type) else items


def judge_of(dataset: Dataset, words: Any) -> StructuredJudge | None:
    """The judge of answers that are codes in a dictionary; None where agreeing is being the same text.

    words: Arrow strings.
    """
    part = STRUCTURED_TASKS.get(dataset.task_type)
    return None if part is None else StructuredJudge(words.to_pylist(), part)


def words_of(judge: StructuredJudge | None, words: Any) -> Any:
    """The dictionary after the judge has used it: its labels stand at the end."""
    if judge is None or len(judge.texts) == len(words):
        return words
    return pa.array(judge.texts, type=pa.string())


def agreeing(dataset: Dataset, answers: Any, labels: Any) -> Mask:
    """Whether each answer agrees with the label beside it. Arrow strings; null agrees with nothing."""
    part = STRUCTURED_TASKS.get(dataset.task_type)
    if part is None:
        return np.asarray(pc.fill_null(pc.equal(answers, labels), False).to_numpy(zero_copy_only=False))
    coded = pa.chunked_array([answers, labels], type=pa.string()).combine_chunks().dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    judge = StructuredJudge([*coded.dictionary.to_pylist(), ""], part)
    codes[codes < 0] = len(judge.texts) - 1
    return judge.agree(codes[: len(answers)], codes[len(answers) :])


def checked_text(
    dataset: Dataset,
    text: str,
    what: str,
    size: tuple[int, int] | None = None,
    characters: int | None = None,
) -> str:
    """The one form of a structured answer that a person gives as the truth; BadInputError names the fault.

    what: begins the error, "the label". size, characters: of the image, of the text, where they are known.
    """
    try:
        answer = read_given(text, STRUCTURED_TASKS[dataset.task_type])
    except BadInputError as error:
        raise BadInputError(f"{what} is no answer of {dataset.name} ({dataset.task_type}): {error}") from None
    classes = None if dataset.classes is None else set(dataset.classes)
    found = fault(answer, classes, size, characters)
    if found == OUTSIDE_CLASSES:
        unknown = sorted(answer.names - set(dataset.classes or ()))
        raise BadInputError(
            f"{what} names {unknown[0]!r}, no class of {dataset.name}; the classes are"
            f" {', '.join(dataset.classes or ())}"
        )
    if found == OUTSIDE_IMAGE and size is not None:
        raise BadInputError(f"{what} has a box outside its image of {size[0]} x {size[1]} pixels ({found})")
    if found is not None:
        raise BadInputError(f"{what} has a span outside its text of {characters} characters ({found})")
    return answer_text(answer)


def refuse_structured(dataset: Dataset, what: str) -> None:
    """Raise BadInputError where answers are structured. what: begins the error, "a forecast"."""
    if is_structured(dataset.task_type):
        raise BadInputError(
            f"{what} takes answers that are one class of a list, and those of {dataset.name} are structured"
            f" ({dataset.task_type})"
        )
