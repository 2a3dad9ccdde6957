"""Libraries that learning needs and the package does not: what to say where one is missing."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from hiveguard_pipeline.errors import HiveGuardError

EXTRA_OF = {
    "sklearn": "active",
    "joblib": "active",
    "threadpoolctl": "active",
    "skops": "active",
    "PIL": "active",
    "onnxruntime": "onnx",
}
"""Library -> the extra of this package that brings it."""


class MissingExtraError(HiveGuardError):
    """A library is not installed; the message says which extra brings it."""


def needed(module: str) -> ModuleType:
    """A module of a library of an extra; raises MissingExtraError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != library:
            raise
        raise MissingExtraError(
            f"{library} is not installed: pip install 'hiveguard-pipeline[{EXTRA_OF[library]}]'"
        ) from None


def is_installed(extra: str) -> bool:
    """Whether all libraries of an extra are there."""
    return all(find_spec(library) is not None for library, its in EXTRA_OF.items() if its == extra)
