"""Ledger rows that a probability decided, derived again from the votes and the calibrations they name."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.adaptive import steps
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.columns import Votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import KINDS, STATES, Kind
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import Columns
from hiveguard_pipeline.store.calibrations import fit_of
from hiveguard_pipeline.store.class_map import ClassMap

ROUNDING = 1
"""Millionths by which a probability may be another on another machine."""

BY_PROBABILITY = (KINDS[Kind.ADAPTIVE], KINDS[Kind.SETTLED])


def probability_differences(
    connection: sa.Connection,
    votes: Columns,
    batches: Columns,
    policies: dict[int, Policy],
    maps: Sequence[ClassMap],
    era: Integers,
) -> Iterator[tuple[Integers, str]]:
    """Rows (positions in batches) that do not follow from their calibration and policy, and why.

    votes: n, vote_id, solver_id, answer; batches: n, kind, label, state_after, probability, calibration_id,
    policy_id, and applied: the newest vote that was processed after the row. Both by n, then in order.
    maps: what answers meant in each era; era: that of each row of batches.
    """
    kinds = batches["kind"].to_pylist() if len(batches["n"]) else []
    decided = np.array([kind in BY_PROBABILITY for kind in kinds], dtype=bool)
    named = batches["calibration_id"] >= 0
    yield np.flatnonzero(named != decided), "names a calibration and is not decided by one, or not"
    keys = (batches["calibration_id"], batches["policy_id"], era)
    for calibration_id, policy_id, number in sorted(
        set(zip(*(key[decided].tolist() for key in keys), strict=True))
    ):
        own = decided & (keys[0] == calibration_id) & (keys[1] == policy_id) & (era == number)
        rows = np.flatnonzero(own)
        if policy_id not in policies:
            continue  # said elsewhere
        try:
            fit = fit_of(connection, calibration_id)
        except BadInputError:
            yield rows, "names a calibration that is not there"
            continue
        if _schema_version(connection, calibration_id) != number + 1:
            yield rows, "was decided by a calibration of other classes than its own"
        item, place = np.unique(batches["n"][rows], return_inverse=True)
        chosen = np.flatnonzero(np.isin(votes["n"], item))
        offsets = np.searchsorted(votes["n"][chosen], np.append(item, item[-1] + 1)).astype(np.int64)
        taken = pa.array(chosen)
        answers = maps[number].of(votes["answer"].take(taken))
        solver, answer = fit.codes(votes["solver_id"].take(taken), answers)
        found = steps(
            Votes(offsets, answer), fit.evidence(solver, answer), fit.knowledge, policies[policy_id]
        )
        last = _place_of(votes["vote_id"][chosen], offsets, place, batches["applied"][rows])
        there = last >= 0
        yield rows[~there], "was decided on votes that are not there"
        rows, last = rows[there], last[there]
        names = np.array([*fit.classes, None], dtype=object)
        yield rows[names[found.label[last]] != _texts(batches["label"], rows)], "gives another label"
        off = abs(found.probability[last] - batches["probability"][rows]) > ROUNDING
        yield rows[off], "has another probability than its votes give"
        yield (
            rows[_states(found.state[last]) != _texts(batches["state_after"], rows)],
            "leads to another state",
        )


def _schema_version(connection: sa.Connection, calibration_id: int) -> int:
    """The version of the classes that a calibration was made under."""
    version = sa.func.coalesce(t.calibrations.c.schema_version, 1)
    chosen = sa.select(version).where(t.calibrations.c.calibration_id == calibration_id)
    return int(connection.execute(chosen).scalar_one())


def _place_of(vote_ids: Integers, offsets: Integers, item: Integers, applied: Integers) -> Integers:
    """Where the newest processed vote of each row lies among its item's votes; -1 where it does not."""
    span = int(vote_ids.max(initial=0)) + 1
    keys = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * span + vote_ids
    wanted = item * span + applied
    found = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return np.where((applied > 0) & (keys[found] == wanted), found, -1)


def _texts(column: Any, rows: Integers) -> Any:
    return np.array(column.take(pa.array(rows)).to_pylist(), dtype=object)


def _states(codes: Any) -> Any:
    return np.array(STATES, dtype=object)[codes]
