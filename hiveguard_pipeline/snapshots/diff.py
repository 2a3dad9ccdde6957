"""What changed from one snapshot to another: labels that came, went or were changed, and by whom and why.

Both files lie in item_id order; their columns are joined by Arrow, without a Python object for a row. Only
for the rows that changed is the ledger asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hiveguard_pipeline.rules.arithmetic import Integers, Mask
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.snapshots.content import HASHED
from hiveguard_pipeline.snapshots.files import SnapshotFolder
from hiveguard_pipeline.snapshots.records import Snapshot
from hiveguard_pipeline.snapshots.why import why_of_batches, why_of_items
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.schema_versions import schema_history

CHANGES = ("added", "removed", "relabelled", "class", "confidence", "details")
"""In the order in which they are listed.

class: the label reads otherwise by a change of the dataset's classes alone. details: what is known of the
item, and the count of solvers.
"""

_COMPARED = ("item_id", "external_id", "label", "confidence")
_BESIDE = ("source", "actor", "reason", "batch_id")
_DETAILS = tuple(name for name in HASHED.names if name not in _COMPARED)
_MOST_AT_ONCE = 50_000
_UUID_DASHES = 4
_HEX = np.zeros(256, dtype=np.uint64)
_HEX[[ord(digit) for digit in "0123456789abcdef"]] = np.arange(16)
_UUID_DIGITS = [place for place in range(36) if place not in (8, 13, 18, 23)]


@dataclass(frozen=True, slots=True)
class Change:
    """One item that is not in both snapshots as it is in the other; confidences in millionths.

    source: votes, recount, or the decision of a person; run_id: of the run that wrote it. state: where an
    item that was removed stands instead. columns: those that differ, for `details`. Fields of the side on
    which the item is not are None.
    """

    change: str
    item_id: str
    external_id: str
    label_from: str | None
    label_to: str | None
    confidence_from: int | None
    confidence_to: int | None
    source: str | None
    actor: str | None
    reason: str | None
    run_id: str | None
    state: str | None
    columns: str | None


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One change of the classes between two snapshots: as the dataset's history has it."""

    version: int
    change: str
    class_map: dict[str, str]
    classes: tuple[str, ...] | None
    actor: str
    reason: str


@dataclass(slots=True)
class Diff:
    """How many items changed in which way, and the changes one by one.

    header: the fields of the headers that differ (schema, selection, split), from and to.
    """

    counts: dict[str, int]
    same: int
    header: dict[str, tuple[object, object]]
    schema: list[SchemaChange]
    _changes: list["_Rows"]
    _database: Database
    _position: int

    def changes(self) -> Iterator[Change]:
        """Each change, by its kind, then by item_id."""
        for rows in self._changes:
            for start in range(0, rows.count, _MOST_AT_ONCE):
                yield from _told(rows.slice(start, _MOST_AT_ONCE), self._database, self._position)


@dataclass(slots=True)
class _Rows:
    """Rows of one kind: where they are in each of the two tables (None: in that one they are not)."""

    change: str
    before: Any
    after: Any
    columns: list[str] | None = None

    @property
    def count(self) -> int:
        return int((self.after if self.after is not None else self.before).num_rows)

    def slice(self, start: int, length: int) -> "_Rows":
        return _Rows(
            self.change,
            None if self.before is None else self.before.slice(start, length),
            None if self.after is None else self.after.slice(start, length),
            None if self.columns is None else self.columns[start : start + length],
        )


def diff_snapshots(database: Database, root: str, before: Snapshot, after: Snapshot) -> Diff:
    """Compare two snapshots. Raises BadInputError where a file is gone."""
    folder = SnapshotFolder(root)
    for snapshot in (before, after):
        folder.refuse_changed(snapshot.file, snapshot.file_sha256)
    same = _same(folder, before.file, after.file)
    old = folder.columns(before.file, _COMPARED).combine_chunks()
    wanted = [*_COMPARED, *_BESIDE]
    new = folder.columns(after.file, [name for name in wanted if name not in same]).combine_chunks()
    for name in sorted(same.intersection(_COMPARED)):
        new = new.append_column(name, old.column(name))
    kept, stayed = _shared(old, new)
    schema = _schema(database, before, after)
    one, other = old.column("label"), new.column("label")
    if before.header.schema_version <= after.header.schema_version:
        one = _mapped(one, schema, before)
    else:
        other = _mapped(other, schema, after)
    relabelled = _differ(one, other, kept, stayed)
    renamed = _differ(old.column("label"), new.column("label"), kept, stayed) & ~relabelled
    moved = _differ(old.column("confidence"), new.column("confidence"), kept, stayed)
    moved &= ~relabelled & ~renamed
    columns = _details(folder, before.file, after.file, same, kept, stayed)
    other = np.logical_or.reduce([np.zeros(len(relabelled), dtype=bool), *columns.values()])
    other &= ~relabelled & ~renamed & ~moved
    here, there = np.flatnonzero(kept), np.flatnonzero(stayed)
    found = [
        _Rows("added", None, _take(new, np.flatnonzero(~stayed))),
        _Rows("removed", _take(old, np.flatnonzero(~kept)), None),
    ]
    masks = (("relabelled", relabelled), ("class", renamed), ("confidence", moved), ("details", other))
    for name, mask in masks:
        chosen = np.flatnonzero(mask)
        named = _named(columns, chosen) if name == "details" else None
        found.append(_Rows(name, _take(old, here[chosen]), _take(new, there[chosen]), named))
    counts = {rows.change: rows.count for rows in found}
    return Diff(
        counts=counts,
        same=len(here) - sum(counts[name] for name, _ in masks),
        header=_headers(before, after),
        schema=schema,
        _changes=found,
        _database=database,
        _position=after.ledger_position,
    )


def _mapped(labels: Any, schema: list[SchemaChange], older: Snapshot) -> Any:
    """Labels of the older snapshot as they read in the classes of the newer one."""
    changes = ClassMap({}, is_structured(older.header.task_type))
    for change in schema:
        changes = changes.then(change.class_map)
    found = changes.of(labels)
    return pa.chunked_array([found]) if isinstance(found, pa.Array) else found


def _take(table: pa.Table, places: Integers) -> pa.Table:
    return table.take(_places(places))


def _places(numbers: Integers) -> Any:
    """Numbers as Arrow takes them. pa.array imports pandas, which takes longer than most diffs."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers.astype(np.int64))])


def _shared(old: pa.Table, new: pa.Table) -> tuple[Mask, Mask]:
    """Which rows of each table are in the other one too."""
    were, ids = (table.column("item_id").combine_chunks() for table in (old, new))
    if were.equals(ids):
        return np.ones(len(were), dtype=bool), np.ones(len(ids), dtype=bool)
    found = _merged(were, ids)
    if found is not None:
        return found
    places = pc.index_in(ids, value_set=were)
    stayed = _mask(pc.is_valid(places))
    kept = np.zeros(len(were), dtype=bool)
    kept[places.drop_null().to_numpy()] = True
    return kept, stayed


def _merged(were: Any, ids: Any) -> tuple[Mask, Mask] | None:
    """`_shared` by the first 64 bits of ids, which lie in order: a merge is quicker than a hash table.

    None where those bits do not tell the ids apart.
    """
    one, other = _leading_bits(were), _leading_bits(ids)
    if one is None or other is None:
        return None
    places = np.minimum(np.searchsorted(one, other), len(one) - 1)
    stayed = one[places] == other
    kept = np.zeros(len(one), dtype=bool)
    kept[places[stayed]] = True
    alike = were.take(_places(np.flatnonzero(kept))).equals(ids.take(_places(np.flatnonzero(stayed))))
    return (kept, stayed) if alike else None


def _leading_bits(ids: Any) -> NDArray[np.uint64] | None:
    """The first 16 hexadecimal digits of UUIDs as numbers; None unless they rise from row to row."""
    size = len(_UUID_DIGITS) + _UUID_DASHES
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if not len(ids) or ids.null_count or (np.diff(ends) != size).any():
        return None
    text = np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]].reshape(-1, size)
    bits = np.zeros(len(ids), dtype=np.uint64)
    for place in _UUID_DIGITS[:16]:
        bits = (bits << np.uint64(4)) | _HEX[text[:, place]]
    return bits if (bits[1:] > bits[:-1]).all() else None


def _differ(old: Any, new: Any, here: Mask, there: Mask) -> Mask:
    """Where a column differs between shared rows, which lie in one order on both sides; null equals null.

    here, there: which rows of old and new are shared. Of shape (shared,).
    """
    one, other = (
        column if kept.all() else column.take(_places(np.flatnonzero(kept)))
        for column, kept in ((old, here), (new, there))
    )
    if one.equals(other):
        return np.zeros(len(one), dtype=bool)
    unlike = pc.not_equal(one, other)
    known = pc.is_valid(unlike)
    either = pc.xor(pc.is_null(one), pc.is_null(other))
    return _mask(pc.or_(pc.and_kleene(known, unlike), either))


def _mask(found: Any) -> Mask:
    """Arrow's booleans, none of them null, as numpy's; its own to_numpy imports pandas."""
    masks = [np.zeros(0, dtype=np.uint8)]
    for chunk in found.chunks if isinstance(found, pa.ChunkedArray) else [found]:
        if len(chunk):
            bits = np.unpackbits(np.frombuffer(chunk.buffers()[1], dtype=np.uint8), bitorder="little")
            masks.append(bits[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(masks).view(np.bool_)


def _same(folder: SnapshotFolder, before: str, after: str) -> set[str]:
    """Columns of which no row differs, told by their bytes; none where the items are not the same ones."""
    same = folder.same_columns(before, after) - set(_BESIDE)
    return same if "item_id" in same else set()


def _details(
    folder: SnapshotFolder, before: str, after: str, same: set[str], here: Mask, there: Mask
) -> dict[str, Mask]:
    """Of each column of details, where it differs; a column at a time. Those in `same` are not decoded."""
    masks = {}
    for name in _DETAILS:
        if name in same:
            masks[name] = np.zeros(int(here.sum()), dtype=bool)
            continue
        old, new = (folder.columns(file, [name]).column(name) for file in (before, after))
        masks[name] = _differ(old, new, here, there)
    return masks


def _named(columns: dict[str, Mask], chosen: Integers) -> list[str]:
    """The names of the columns that differ, for each of some rows."""
    return [", ".join(name for name, mask in columns.items() if mask[place]) for place in chosen.tolist()]


def _headers(before: Snapshot, after: Snapshot) -> dict[str, tuple[object, object]]:
    old, new = before.header.values(), after.header.values()
    return {
        key: (old[key], new[key])
        for key in old
        if key not in ("rows", "rows_sha256") and old[key] != new[key]
    }


def _schema(database: Database, before: Snapshot, after: Snapshot) -> list[SchemaChange]:
    """The changes of classes that lie between, of whichever snapshot is the older."""
    first, last = sorted((before.header.schema_version, after.header.schema_version))
    if before.dataset != after.dataset or first == last:
        return []
    with database.read() as connection:
        history = schema_history(connection, get_dataset(connection, after.dataset))
    return [
        SchemaChange(v.version, v.change, v.class_map, v.classes, v.actor, v.reason)
        for v in history
        if first < v.version <= last
    ]


def _told(rows: _Rows, database: Database, position: int) -> Iterator[Change]:
    """Changes with their reasons: the ledger's row that gave the label, or took it away."""
    old = [None] * rows.count if rows.before is None else rows.before.to_pylist()
    new = [None] * rows.count if rows.after is None else rows.after.to_pylist()
    with database.read() as connection:
        asked = [(now or was or {})["item_id"] for was, now in zip(old, new, strict=True)]
        newest = why_of_items(connection, asked, position)
        given = why_of_batches(connection, {row["batch_id"] for row in new if row and row["batch_id"]})
    for place, (was, now) in enumerate(zip(old, new, strict=True)):
        here: dict[str, Any] = now or was or {}
        why = given.get(here.get("batch_id") or 0) or newest.get(here["item_id"])
        # The file says itself who gave a label that it holds.
        told = (
            here if now or why is None else {"source": why.source, "actor": why.actor, "reason": why.reason}
        )
        yield Change(
            change=rows.change,
            item_id=here["item_id"],
            external_id=here["external_id"],
            label_from=was and was["label"],
            label_to=now and now["label"],
            confidence_from=was and was["confidence"],
            confidence_to=now and now["confidence"],
            source=told.get("source"),
            actor=told.get("actor"),
            reason=told.get("reason"),
            state=None if now or why is None else why.state,
            run_id=None if why is None else why.run_id,
            columns=None if rows.columns is None else rows.columns[place],
        )
