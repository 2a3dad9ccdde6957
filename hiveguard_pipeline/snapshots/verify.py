"""Whether a snapshot is still what its id says: the bytes of the file, its rows, its header."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.snapshots.content import HASHED, RowsHash
from hiveguard_pipeline.snapshots.files import HEADER_KEY, SnapshotFolder, batches
from hiveguard_pipeline.snapshots.records import Snapshot
from hiveguard_pipeline.snapshots.rows import LARGEST_PAGE, group_keys
from hiveguard_pipeline.snapshots.split import group_hashes, in_train, limit_of_share, split_names


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was recorded."""

    snapshot_id: str
    what: str
    recorded: str
    found: str


def verify_snapshot(snapshot: Snapshot, root: str) -> list[Finding]:
    """Read a snapshot's file whole, and say what differs; an empty list if nothing does.

    A file that retention removed is no difference; only the header is checked then.
    """
    found: list[Finding] = []

    def differs(what: str, recorded: object, now: object) -> None:
        if recorded != now:
            found.append(Finding(snapshot.snapshot_id, what, str(recorded), str(now)))

    differs("id of the header", snapshot.snapshot_id, snapshot.header.snapshot_id)
    if snapshot.removed_at is not None:
        return found
    folder = SnapshotFolder(root)
    try:
        differs("bytes of the file", snapshot.file_sha256, folder.sha256(snapshot.file))
        with folder.reading(snapshot.file) as file:
            carried = (file.metadata.metadata or {}).get(HEADER_KEY.encode(), b"").decode()
            differs("header in the file", snapshot.header.text(), carried)
            missing = [name for name in HASHED.names if name not in file.schema_arrow.names]
            if missing:
                differs("columns of the file", "all", f"without {', '.join(missing)}")
            else:
                _check_rows(snapshot, file, differs)
    except BadInputError as error:
        differs("file", "readable", str(error))
    return found


def _check_rows(snapshot: Snapshot, file: Any, differs: Any) -> None:
    header, hashed = snapshot.header, RowsHash()
    limit = limit_of_share(header.split.share)
    last, ordered, moved = "", True, 0
    for batch in batches(file, snapshot.file, HASHED.names, LARGEST_PAGE):
        rows = batch.cast(HASHED)
        hashed.add(rows)
        ids = rows.column("item_id")
        ordered = ordered and _is_rising(last, ids)
        last = ids[-1].as_py()
        if header.split.method == "hash":
            expected = split_names(in_train(group_hashes(header.split.salt, group_keys(rows)), limit))
            moved += int(np.count_nonzero(pc.not_equal(expected, rows.column("split")).to_numpy(False)))
    differs("rows", header.rows, hashed.rows)
    differs("hash of the rows", header.rows_sha256, hashed.hexdigest())
    differs("order of the rows", "by item_id", "by item_id" if ordered else "another")
    differs("rows not where the split puts them", 0, moved)


def _is_rising(last: str, ids: pa.StringArray) -> bool:
    inner = pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py() is not False
    return bool(inner and last < ids[0].as_py())
