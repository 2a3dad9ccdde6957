"""How structured answers agree with the labels of their items, overall and by solver.

The coefficients and models of the other modules are for answers that are one class of a list. Here an answer
is held against its item's label, or gold label, by F1. A label was made of answers, these among them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.structured.answer import Answer, read_answer
from hiveguard_pipeline.rules.structured.matching import f1
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import list_exclusions

SOLVER_COLUMNS = (
    "solver_id",
    "votes",
    "compared",
    "label_agreement",
    "mean_f1",
    "gold_votes",
    "gold_accuracy",
    "excluded",
)


@dataclass(frozen=True, slots=True)
class StructuredAgreement:
    """Answers against labels. f1: in millionths, -1 where the item has no label: shape (votes,).

    gold: the vote's item is gold. item, solver: codes of each vote; excluded: shape (solvers,).
    """

    item: Codes
    solver: Codes
    f1: Integers
    gold: Mask
    solvers: list[str]
    excluded: Mask
    newest: int

    @property
    def counted(self) -> Mask:
        """Votes on items with a label, of solvers who count; shape (votes,)."""
        return np.asarray((self.f1 >= 0) & ~self.excluded[self.solver])

    def figures(self) -> dict[str, Any]:
        """Items and votes that were compared, the mean F1, and the share of votes that agree (F1 >= 0.5)."""
        own = self.f1[self.counted]
        return {
            "items": len(np.unique(self.item[self.counted])),
            "votes": len(own),
            "mean_f1": _mean(own),
            "label_agreement": _mean((2 * own >= ONE) * ONE),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row of SOLVER_COLUMNS for each solver, by name."""
        solvers = len(self.solvers)
        votes = np.bincount(self.solver, minlength=solvers)
        of_label, of_gold = (self.f1 >= 0) & ~self.gold, (self.f1 >= 0) & self.gold
        agrees = 2 * self.f1 >= ONE

        def count(mask: Mask) -> Integers:
            return np.bincount(self.solver[mask], minlength=solvers)

        compared, agreeing = count(of_label), count(of_label & agrees)
        golden, right = count(of_gold), count(of_gold & agrees)
        near = np.bincount(self.solver[of_label], self.f1[of_label], minlength=solvers)
        for code, name in enumerate(self.solvers):
            many, of_truth = int(compared[code]), int(golden[code])
            yield {
                "solver_id": name,
                "votes": int(votes[code]),
                "compared": many,
                "label_agreement": round(int(agreeing[code]) / many, 6) if many else None,
                "mean_f1": round(float(near[code]) / many / ONE, 6) if many else None,
                "gold_votes": of_truth,
                "gold_accuracy": round(int(right[code]) / of_truth, 6) if of_truth else None,
                "excluded": bool(self.excluded[code]),
            }


def structured_agreement(connection: sa.Connection, dataset: Dataset) -> StructuredAgreement:
    """Hold the votes of a structured dataset, the excluded ones too, against the labels as they are."""
    crowd = read_crowd(connection, dataset, excluded=True)
    held = {exclusion.solver_id for exclusion in list_exclusions(connection, dataset)}
    labels = read_columns(
        connection,
        "SELECT item_id, label FROM labels WHERE dataset_id = :dataset AND label IS NOT NULL",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "label": str},
    )
    words = pa.array(crowd.classes, type=pa.string())
    place = pc.index_in(crowd.item_ids, value_set=labels["item_id"])
    truth = words.take(pa.array(crowd.gold, mask=crowd.gold == NO_LABEL))
    of_item = pc.coalesce(truth, labels["label"].take(place)).dictionary_encode()
    label = of_item.indices.fill_null(NO_LABEL).to_numpy(zero_copy_only=False)[crowd.item]
    return StructuredAgreement(
        crowd.item,
        crowd.solver,
        _f1(crowd.classes, crowd.answer, of_item.dictionary.to_pylist(), label),
        crowd.gold[crowd.item] != NO_LABEL,
        crowd.solvers,
        np.array([name in held for name in crowd.solvers], dtype=bool),
        int(crowd.vote_id.max(initial=0)),
    )


def _f1(answers: list[str], answer: Codes, labels: list[str], label: Codes) -> Integers:
    """The F1 of each answer against the label beside it, each pair compared once; -1 without a label."""
    width = len(labels) + 1
    pairs, place = np.unique(answer.astype(np.int64) * width + label + 1, return_inverse=True)
    found = np.full(len(pairs), -1, dtype=np.int64)
    meant = [_read(text) for text in labels]
    for row, pair in enumerate(pairs.tolist()):
        if code := pair % width:
            given, truth = _read(answers[pair // width]), meant[code - 1]
            found[row] = 0 if given is None or truth is None else f1(given, truth)
    return found[place]


def _read(text: str) -> Answer | None:
    try:
        return read_answer(text)
    except BadInputError:
        return None


def _mean(values: Integers) -> float | None:
    return round(float(values.mean()) / ONE, 6) if len(values) else None
