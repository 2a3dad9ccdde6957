"""Labels and votes out of the store, as streams for people and tools; snapshots/ has what training jobs read.

What is named here is imported when it is asked for: a command that exports starts in a moment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiveguard_pipeline.exports.direct import export_directly
    from hiveguard_pipeline.exports.files import FORMATS
    from hiveguard_pipeline.exports.labels import export_labels
    from hiveguard_pipeline.exports.votes import export_votes

_PLACES = {
    "FORMATS": "files",
    "export_directly": "direct",
    "export_labels": "labels",
    "export_votes": "votes",
}

__all__ = [
    "FORMATS",
    "export_directly",
    "export_labels",
    "export_votes",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
