"""The rows of a snapshot: their columns, which of them are hashed, and the hash."""

import hashlib

import pyarrow as pa

from hiveguard_pipeline.exports.files import canonical_lines

_PIECE_BYTES = 64 << 20

HASHED = pa.schema(
    [
        ("item_id", pa.string()),
        ("external_id", pa.string()),
        ("data_ref", pa.string()),
        ("modality", pa.string()),
        ("label", pa.string()),
        ("confidence", pa.int64()),
        ("solver_count", pa.int64()),
        ("created_at", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("content", pa.string()),
        ("group_key", pa.string()),
        ("licence", pa.string()),
        ("split", pa.string()),
    ]
)
"""The content. confidence: in millionths; created_at: of the vote that completed the first pass."""

BESIDE = pa.schema(
    [
        ("revision", pa.int64()),
        ("source", pa.string()),
        ("actor", pa.string()),
        ("reason", pa.string()),
        ("policy_id", pa.int64()),
        ("batch_id", pa.int64()),
    ]
)
"""Where each label came from, which is not part of the content.

revision, source, actor, reason: as label_revisions has them; null where a recount elsewhere gave the label.
batch_id: the row of the ledger that gave it, where that is not the item's first one (looking all of those up
costs more than all else); ledger and ledger_position of the snapshot tell it of the others.
"""

DETAILS = pa.schema([HASHED.field(name) for name in ("width", "height", "content", "group_key", "licence")])
"""What is known of an item besides, null where nothing is."""

ROWS = pa.schema([*HASHED, *BESIDE])
"""A snapshot's file: its rows by item_id."""

REPEATED = ["label", "modality", "licence", "group_key", "created_at", "split", "source", "actor", "reason"]
"""Columns in which values come again: a file keeps each value once."""

WITHOUT_SPLIT = pa.schema([field for field in ROWS if field.name != "split"])
"""Rows as they are read."""


class RowsHash:
    """The SHA-256 of rows as canonical JSON lines, and how many they are."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in, in item_id order, in batches of any size."""
        chosen = batch.select(HASHED.names)
        pieces = 1 + chosen.nbytes // _PIECE_BYTES
        length = -(-chosen.num_rows // pieces)
        for start in range(0, chosen.num_rows, max(length, 1)):
            self._hash.update(canonical_lines(chosen.slice(start, length)))
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()
