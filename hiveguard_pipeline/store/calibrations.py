"""Calibrations as they are kept: what a fit knew of solvers and of how far to believe it, never changed.

A ledger row that a probability decided names its calibration, so that it can be derived again.
"""

import io
import json
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.adaptive import Knowledge
from hiveguard_pipeline.rules.arithmetic import Codes
from hiveguard_pipeline.rules.calibrated import Calibrator, Reals
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.datasets import Dataset, now_text

KEPT = 30
"""Calibrations of a dataset that are kept where no ledger row can name one."""


@dataclass(slots=True)
class Fit:
    """Solvers and calibrators of a calibration.

    solvers, classes: names by code. solver, answer: of each cell, a pair that occurred, by solver, then by
    answer: shape (cells,). log_error: ln P(answer | class) of each cell, shape (cells, classes). log_whole:
    ln of each solver's votes on a class with the prior's, shape (solvers, classes). log_right, log_wrong: ln
    of the prior's votes for the right answer, and for a wrong one. log_prior: ln P(class). log_pooled: ln
    P(answer | class) of the whole crowd, shape (answers, classes).
    """

    solvers: list[str]
    classes: list[str]
    solver: Codes
    answer: Codes
    log_error: Reals
    log_whole: Reals
    log_right: float
    log_wrong: float
    log_prior: Reals
    log_pooled: Reals
    standing: Calibrator
    stepwise: Calibrator
    _cell: Codes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        classes = len(self.classes)
        self._cell = np.full(len(self.solvers) * classes, -1, dtype=np.int32)
        self._cell[self.solver.astype(np.int64) * classes + self.answer] = np.arange(len(self.solver))

    @property
    def knowledge(self) -> Knowledge:
        """What decisions after each vote need beside the votes' own evidence."""
        return Knowledge(self.stepwise, self.log_prior, self.log_pooled)

    def codes(self, solvers: Any, answers: Any) -> tuple[Codes, Codes]:
        """Codes of Arrow strings, -1 for a solver or answer that the fit has not seen."""
        return _codes(solvers, self.solvers), _codes(answers, self.classes)

    def evidence(self, solver: Codes, answer: Codes) -> Reals:
        """ln P(vote | class) of votes: shape (votes, classes).

        A solver that the fit has not seen is taken for the crowd's average, an answer that is none of its
        classes says nothing.
        """
        found = np.zeros((len(solver), len(self.classes)))
        known = answer >= 0
        new = np.flatnonzero(known & (solver < 0))
        found[new] = self.log_pooled[answer[new]]
        seen = np.flatnonzero(known & (solver >= 0))
        cell = self._cell[solver[seen].astype(np.int64) * len(self.classes) + answer[seen]]
        found[seen] = self.log_error[cell]
        rare = seen[cell < 0]
        found[rare] = self.log_wrong
        found[rare, answer[rare]] = self.log_right
        found[rare] -= self.log_whole[solver[rare]]
        return found

    def to_bytes(self) -> bytes:
        """As an npz file, without pickle."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        said = {"solvers": self.solvers, "classes": self.classes}
        said |= {name: getattr(self, name) for name in _NUMBERS}
        said |= {name: getattr(self, name).text() for name in _CALIBRATORS}
        stream = io.BytesIO()
        np.savez(stream, said=np.frombuffer(json.dumps(said).encode(), dtype=np.uint8), **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Fit":
        """What `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        said = json.loads(arrays.pop("said").tobytes())
        for name in _CALIBRATORS:
            said[name] = Calibrator.parse(said[name])
        return cls(**arrays, **said)


_ARRAYS = ("solver", "answer", "log_error", "log_whole", "log_prior", "log_pooled")
_NUMBERS = ("log_right", "log_wrong")
_CALIBRATORS = ("standing", "stepwise")


@dataclass(frozen=True, slots=True)
class RecordedCalibration:
    """A calibration as it stands in the table, but for its fit; error and score in millionths."""

    calibration_id: int
    horizon: int
    votes: int
    solvers: int
    gold_items: int
    calibration_error: int | None
    brier_score: int | None
    created_at: str


def save_calibration(
    connection: sa.Connection,
    dataset: Dataset,
    fit: Fit,
    *,
    horizon: int,
    votes: int,
    gold_items: int,
    calibration_error: float | None,
    brier_score: float | None,
) -> int:
    """Keep a calibration; returns its id. Old ones go, unless the dataset ever graduated by probability."""
    key = connection.execute(
        t.calibrations.insert().values(
            dataset_id=dataset.dataset_id,
            horizon=horizon,
            votes=votes,
            solvers=len(fit.solvers),
            gold_items=gold_items,
            calibration_error=_millionths(calibration_error),
            brier_score=_millionths(brier_score),
            fit=fit.to_bytes(),
            created_at=now_text(),
            schema_version=dataset.schema_version,
        )
    ).inserted_primary_key
    assert key is not None
    connection.execute(
        sa.text(
            "DELETE FROM calibrations WHERE dataset_id = :dataset AND calibration_id NOT IN"
            " (SELECT calibration_id FROM calibrations WHERE dataset_id = :dataset"
            f" ORDER BY calibration_id DESC LIMIT {KEPT}) AND NOT EXISTS (SELECT 1 FROM policies"
            " WHERE dataset_id = :dataset AND graduation = 'adaptive')"
        ),
        {"dataset": dataset.dataset_id},
    )
    return int(key[0])


def newest_calibration(connection: sa.Connection, dataset: Dataset) -> RecordedCalibration | None:
    """The calibration that holds for a dataset, if it has one; none that was made under other classes."""
    row = connection.execute(
        sa.select(*(t.calibrations.c[name] for name in RecordedCalibration.__dataclass_fields__))
        .where(
            t.calibrations.c.dataset_id == dataset.dataset_id,
            sa.func.coalesce(t.calibrations.c.schema_version, 1) == dataset.schema_version,
        )
        .order_by(t.calibrations.c.calibration_id.desc())
        .limit(1)
    ).first()
    return None if row is None else RecordedCalibration(*row)


def fit_of(connection: sa.Connection, calibration_id: int) -> Fit:
    """The fit of a calibration; raises BadInputError if there is none of that id."""
    data = connection.execute(
        sa.select(t.calibrations.c.fit).where(t.calibrations.c.calibration_id == calibration_id)
    ).scalar()
    if data is None:
        raise BadInputError(f"there is no calibration {calibration_id}: the ledger cannot be derived")
    return Fit.from_bytes(bytes(data))


def write_probabilities(
    connection: sa.Connection, dataset: Dataset, item_ids: Any, classes: list[str], probability: Reals
) -> tuple[int, int]:
    """Give each label its probability; returns how many labels there are, and have another one than before.

    item_ids: Arrow strings in order, shape (items,). probability: shape (items, classes). A label that is
    none of the classes has probability 0.
    """
    labels = read_columns(
        connection,
        "SELECT item_id, label, coalesce(probability, -1) AS probability FROM labels"
        " WHERE dataset_id = :dataset AND label IS NOT NULL ORDER BY item_id",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "label": str, "probability": int},
    )
    row = pc.index_in(labels["item_id"], value_set=item_ids).fill_null(-1).to_numpy(zero_copy_only=False)
    code = _codes(labels["label"], classes)
    known = (row >= 0) & (code >= 0)
    found = np.zeros(len(row), dtype=np.int64)
    found[known] = np.rint(probability[row[known], code[known]] * ONE)
    changed = np.flatnonzero((row >= 0) & (found != labels["probability"]))
    uuid_type = "TEXT" if connection.dialect.name == "sqlite" else "uuid"
    connection.execute(sa.text("DROP TABLE IF EXISTS probable"))
    connection.execute(
        sa.text(f"CREATE TEMPORARY TABLE probable (item_id {uuid_type} PRIMARY KEY, probability int)")
    )
    append(
        connection,
        "probable",
        {"item_id": labels["item_id"].take(pa.array(changed)), "probability": found[changed]},
    )
    connection.execute(
        sa.text(
            "UPDATE labels SET probability = p.probability FROM probable p WHERE p.item_id = labels.item_id"
        )
    )
    connection.execute(sa.text("DROP TABLE probable"))
    return len(row), len(changed)


def _codes(texts: Any, names: list[str]) -> Codes:
    """Codes of Arrow strings in a list of names, NO_LABEL where they are not in it; int32."""
    words = texts.dictionary_encode()
    known = {name: code for code, name in enumerate(names)}
    place = np.fromiter(
        map(known.get, words.dictionary.to_pylist(), repeat(NO_LABEL)), np.int32, len(words.dictionary)
    )
    indices = words.indices.fill_null(len(place)).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(place, np.int32(NO_LABEL))[indices])


def _millionths(number: float | None) -> int | None:
    return None if number is None else round(number * ONE)
