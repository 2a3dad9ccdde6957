"""The formats by name. A format's module is imported when it is asked for."""

import importlib

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Format

FORMATS = {
    "coco": "coco",
    "voc": "voc",
    "yolo": "yolo",
    "label-studio": "label_studio",
    "csv": "csv",
    "jsonl": "jsonl",
    "spacy": "spacy",
    "huggingface": "huggingface",
}
"""Name on the command line -> the module beside this one that holds it, as its FORMAT."""


def open_format(name: str) -> Format:
    """The format of that name, or BadInputError."""
    if name not in FORMATS:
        raise BadInputError(f"there is no format '{name}'; there are {', '.join(FORMATS)}.")
    module = importlib.import_module(f"hiveguard_pipeline.formats.{FORMATS[name]}")
    chosen: Format = module.FORMAT
    return chosen
