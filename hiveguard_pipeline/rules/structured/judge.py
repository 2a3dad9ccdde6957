"""Structured answers before the state machine: what a first label is, and who agrees with it."""

from collections.abc import Sequence

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL, FirstPasses, Votes
from hiveguard_pipeline.rules.structured.answer import Answer, answer_text, read_answer
from hiveguard_pipeline.rules.structured.consensus import consensus
from hiveguard_pipeline.rules.structured.matching import agrees

_ANSWERS_KEPT = 50_000
_PAIRS_KEPT = 1_000_000


class StructuredJudge:
    """Judges answers by their codes in a list of texts; the labels that it makes are added to the list.

    A text that is no answer agrees with nothing; at a first label it is one of the answers, and marks
    nothing. Each pair of texts is compared once. The classes in the texts are those of today: `era` says
    nothing here.
    """

    def __init__(self, texts: Sequence[str], part: str) -> None:
        """texts: answers by code. part: what they always speak of, `boxes` or `spans`."""
        self.texts = list(texts)
        self._part = part
        self._codes: dict[str, int] | None = None
        self._answers: dict[int, Answer | None] = {}
        self._pairs: dict[tuple[int, int], bool] = {}

    def agree(self, answers: Codes, labels: Codes, era: Integers | None = None) -> Mask:  # noqa: ARG002
        """Whether each answer has an F1 of at least 0.5 with the label beside it."""
        width = len(self.texts) + 1
        pairs = answers.astype(np.int64) * width + (labels.astype(np.int64) + 1)
        distinct, place = np.unique(pairs, return_inverse=True)
        found = [self._agrees(pair // width, pair % width - 1) for pair in distinct.tolist()]
        return np.array(found, dtype=bool)[place]

    def carried(self, labels: Codes, era: Integers) -> Codes:  # noqa: ARG002
        """The labels as they are."""
        return labels

    def first_passes(self, votes: Votes, threshold: int, era: Integers | None = None) -> FirstPasses:  # noqa: ARG002
        """The label of each item at its first `threshold` answers: their consensus, with its share."""
        starts, counts = votes.offsets[:-1], np.diff(votes.offsets)
        found = FirstPasses(
            prefix=np.zeros(len(counts), dtype=np.int64),
            label=np.full(len(counts), NO_LABEL, dtype=np.int32),
            agree=np.zeros(len(counts), dtype=np.int64),
            confidence=np.zeros(len(counts), dtype=np.int64),
        )
        ready = np.flatnonzero(counts >= threshold)
        if not len(ready):
            return found
        prefixes = np.sort(votes.answers[starts[ready][:, np.newaxis] + np.arange(threshold)], axis=1)
        distinct, place = np.unique(prefixes, axis=0, return_inverse=True)
        labelled = np.array([self._first_pass(codes) for codes in distinct.tolist()], dtype=np.int64)
        found.prefix[ready] = threshold
        found.label[ready], found.agree[ready], found.confidence[ready] = labelled[place.ravel()].T
        return found

    def _first_pass(self, codes: list[int]) -> tuple[int, int, int]:
        """The code of the consensus of some answers, how many of them agree with it, and their share."""
        answer, share = consensus([self._answer(code) for code in codes], self._part)
        label = self._code(answer_text(answer))
        return label, sum(self._agrees(code, label) for code in codes), share

    def _agrees(self, code: int, label: int) -> bool:
        if label == NO_LABEL:
            return False
        known = self._pairs.get((code, label))
        if known is None:
            answer, meant = self._answer(code), self._answer(label)
            known = answer is not None and meant is not None and agrees(answer, meant)
            if len(self._pairs) >= _PAIRS_KEPT:
                self._pairs.clear()
            self._pairs[code, label] = known
        return known

    def _answer(self, code: int) -> Answer | None:
        if code not in self._answers:
            if len(self._answers) >= _ANSWERS_KEPT:
                self._answers.clear()
            try:
                self._answers[code] = read_answer(self.texts[code])
            except BadInputError:
                self._answers[code] = None
        return self._answers[code]

    def _code(self, text: str) -> int:
        """The code of a label, which may be a text that no one has given."""
        if self._codes is None:
            self._codes = {text: code for code, text in enumerate(self.texts)}
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code
