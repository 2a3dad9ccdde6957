"""Labels of a snapshot that no longer hold: what an export should be made anew and looked at again for.

An item has drifted when its label is another one now, when it was flagged, discarded or withdrawn (it is no
longer among the labels that the snapshot chose), or when votes that came after it graduated would, counted
as re-validation counts them, bring its confidence below the exit. Those votes are never applied.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Integers, Mask
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.snapshots.agreement import LostAgreement, lost_agreement
from hiveguard_pipeline.snapshots.files import SnapshotFolder
from hiveguard_pipeline.snapshots.records import Snapshot
from hiveguard_pipeline.snapshots.why import Why, why_of_items
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset
from hiveguard_pipeline.store.schema_versions import class_map_of

WHATS = ("relabelled", "flagged", "discarded", "withdrawn", "lost_agreement")

_EXPORTED = ("item_id", "external_id", "label", "confidence")
_NOW = {"item_id": str, "label": str, "confidence": int, "state": str}
_EVERYTHING = 1 << 62
_NONE = -1
_GOLD_ITEMS = "SELECT i.item_id FROM items i WHERE i.dataset_id = :dataset AND i.gold_label IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Since:
    """A place in ledger and votes: only what came behind it is looked at."""

    ledger_position: int
    vote_id: int


@dataclass(frozen=True, slots=True)
class Drifted:
    """One label that no longer holds; confidences in millionths.

    confidence_now: after the votes that wait, for lost_agreement. source, actor, reason, run_id, at: of the
    newest row of its ledger; agree, disagree: of the votes that wait.
    """

    what: str
    item_id: str
    external_id: str
    label: str
    label_now: str | None
    confidence: int
    confidence_now: int | None
    state: str
    source: str | None = None
    actor: str | None = None
    reason: str | None = None
    run_id: str | None = None
    at: str | None = None
    agree: int | None = None
    disagree: int | None = None


def drift_of(database: Database, root: str, snapshot: Snapshot, since: Since | None = None) -> list[Drifted]:
    """The labels of a snapshot that no longer hold, by what happened, then by item_id.

    since: those alone that something has happened to behind that place. Raises BadInputError where the
    file of the snapshot is gone.
    """
    folder = SnapshotFolder(root)
    folder.refuse_changed(snapshot.file, snapshot.file_sha256)
    exported = folder.columns(snapshot.file, _EXPORTED).combine_chunks()
    with database.read() as connection:
        dataset = get_dataset(connection, snapshot.dataset)
        found = _changed(connection, dataset, snapshot, exported, since)
        lost = lost_agreement(connection, dataset, None if since is None else since.vote_id)
        found += _spoken_against(exported, lost, {row.item_id for row in found})
        why = why_of_items(connection, [row.item_id for row in found], _EVERYTHING)
    rows = [_with_reason(row, why.get(row.item_id)) for row in found]
    return sorted(rows, key=lambda row: (WHATS.index(row.what), row.item_id))


def _changed(
    connection: sa.Connection,
    dataset: Dataset,
    snapshot: Snapshot,
    exported: pa.Table,
    since: Since | None,
) -> list[Drifted]:
    """Items of the snapshot with another label or state, of those that the ledger or gold has touched.

    That an item became gold stands in no ledger: all gold items are looked at, but not with `since`.
    """
    position = snapshot.ledger_position if since is None else since.ledger_position
    now = read_columns(
        connection,
        "SELECT CAST(s.item_id AS text) AS item_id, coalesce(s.gold_label, s.label) AS label,"
        f" coalesce(s.confidence, {_NONE}) AS confidence, s.state FROM item_status s"
        " WHERE s.dataset_id = :dataset AND s.item_id IN"
        " (SELECT b.item_id FROM batches b WHERE b.batch_id > :position"
        + ("" if since else f" UNION {_GOLD_ITEMS}")
        + ") ORDER BY s.item_id",
        {"dataset": dataset.dataset_id, "position": position},
        _NOW,
    )
    place = pc.index_in(now["item_id"], value_set=exported.column("item_id").combine_chunks())
    here = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
    at = place.take(pa.array(here))
    before = exported.take(at)
    label, state = (now[name].take(pa.array(here)) for name in ("label", "state"))
    confidence = now["confidence"][here]
    mapped = class_map_of(connection, dataset).of(before.column("label").combine_chunks())
    what = _what(snapshot, mapped, label, state, confidence)
    drifted = np.flatnonzero(what)
    rows = before.take(pa.array(drifted)).to_pylist()
    return [
        Drifted(
            what=WHATS[code - 1],
            **row,
            label_now=label_now,
            confidence_now=None if confidence_now == _NONE else confidence_now,
            state=state_now,
        )
        for code, row, label_now, confidence_now, state_now in zip(
            what[drifted].tolist(),
            rows,
            label.take(pa.array(drifted)).to_pylist(),
            confidence[drifted].tolist(),
            state.take(pa.array(drifted)).to_pylist(),
            strict=True,
        )
    ]


def _what(snapshot: Snapshot, before: Any, label: Any, state: Any, confidence: Integers) -> Integers:
    """What happened to each item: 1 + its place in WHATS, 0 for nothing."""

    def is_in(*states: State) -> Mask:
        wanted = pa.array([STATES[one] for one in states])
        return np.asarray(pc.is_in(state, value_set=wanted).to_numpy(zero_copy_only=False))

    other = ~pc.fill_null(pc.equal(before, label), False).to_numpy(zero_copy_only=False)
    gold, unlabeled = is_in(State.GOLD), pc.is_null(label).to_numpy(zero_copy_only=False)
    selection = snapshot.header.selection
    chosen = is_in(State.GRADUATED) if selection.graduated else is_in(State.GRADUATED, State.IN_REVALIDATION)
    kept = (chosen & (confidence >= selection.min_confidence)) | gold
    return np.select(
        [is_in(State.DISCARDED), is_in(State.NEEDS_REVIEW), other & ~unlabeled, ~kept],
        [1 + WHATS.index(what) for what in ("discarded", "flagged", "relabelled", "withdrawn")],
        default=0,
    )


def _spoken_against(exported: pa.Table, lost: LostAgreement, known: set[str]) -> list[Drifted]:
    """Items of the snapshot that lost agreement, and to which nothing else has happened."""
    place = pc.index_in(lost.item_ids, value_set=exported.column("item_id").combine_chunks())
    here = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
    rows = exported.take(place.take(pa.array(here))).to_pylist()
    return [
        Drifted(
            what="lost_agreement",
            **row,
            label_now=row["label"],
            confidence_now=int(lost.confidence[at]),
            state=STATES[State.GRADUATED],
            agree=int(lost.agree[at]),
            disagree=int(lost.disagree[at]),
        )
        for at, row in zip(here.tolist(), rows, strict=True)
        if row["item_id"] not in known
    ]


def _with_reason(row: Drifted, why: Why | None) -> Drifted:
    """Who or what, from the newest row of the item's ledger; votes that wait, or a gold label, have none."""
    if row.what == "lost_agreement":
        return replace(row, source="waiting votes")
    if row.state == STATES[State.GOLD]:
        return replace(row, source="gold label")
    if why is None:
        return row
    return replace(row, source=why.source, actor=why.actor, reason=why.reason, run_id=why.run_id, at=why.at)


def counts(drifted: Iterable[Drifted]) -> dict[str, int]:
    """How many of each kind, every kind named."""
    found = Counter(row.what for row in drifted)
    return {what: found[what] for what in WHATS}
