"""Snapshots: which labels a training job read, kept for good, compared, exported and watched.

A snapshot is one immutable Parquet file of rows and one row in the database; its id is the hash of its
content. What is named here is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiveguard_pipeline.snapshots.create import create_snapshot
    from hiveguard_pipeline.snapshots.diff import diff_snapshots
    from hiveguard_pipeline.snapshots.drift import drift_of
    from hiveguard_pipeline.snapshots.export import EXPORT_FORMATS, ExportOptions, export_snapshot
    from hiveguard_pipeline.snapshots.export_folder import latest_export
    from hiveguard_pipeline.snapshots.header import Header, Selection, Split
    from hiveguard_pipeline.snapshots.records import Snapshot, find_snapshot, list_snapshots
    from hiveguard_pipeline.snapshots.training import TrainingExport, write_training_export
    from hiveguard_pipeline.snapshots.verify import verify_snapshot

_PLACES = {
    "EXPORT_FORMATS": "export",
    "ExportOptions": "export",
    "Header": "header",
    "Selection": "header",
    "Snapshot": "records",
    "Split": "header",
    "TrainingExport": "training",
    "create_snapshot": "create",
    "diff_snapshots": "diff",
    "drift_of": "drift",
    "export_snapshot": "export",
    "find_snapshot": "records",
    "latest_export": "export_folder",
    "list_snapshots": "records",
    "verify_snapshot": "verify",
    "write_training_export": "training",
}

__all__ = [
    "EXPORT_FORMATS",
    "ExportOptions",
    "Header",
    "Selection",
    "Snapshot",
    "Split",
    "TrainingExport",
    "create_snapshot",
    "diff_snapshots",
    "drift_of",
    "export_snapshot",
    "find_snapshot",
    "latest_export",
    "list_snapshots",
    "verify_snapshot",
    "write_training_export",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
