"""Which of the formats a file or folder is in, by its look."""

import json
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.names import files_below
from hiveguard_pipeline.formats.registry import FORMATS
from hiveguard_pipeline.formats.text_lines import open_file

_HEAD = 1 << 16
_SIDE_CAR = "hiveguard.jsonl"
_SUFFIXES = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".spacy": "spacy",
    ".xml": "voc",
    ".yaml": "yolo",
    ".yml": "yolo",
    ".data": "yolo",
}


def format_of(path: Path) -> str:
    """A name of FORMATS. Raises BadInputError where the look does not say."""
    if not path.exists():
        raise BadInputError(f"{path}: there is no such file or folder.")
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if found is None:
        raise BadInputError(
            f"{path}: its format cannot be told by its look; convert it first, naming the format"
            " (hiveguard convert --from)."
        )
    return found


def _of_folder(folder: Path) -> str | None:
    side_car = folder / _SIDE_CAR
    if side_car.is_file():
        with open_file(side_car) as stream:
            name = _said_format(stream.readline(_HEAD))
        if name in FORMATS:
            return name
    if (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file():
        return "huggingface"
    if any((folder / name).exists() for name in ("data.yaml", "data.yml", "obj.data", "labels")):
        return "yolo"
    if (folder / "Annotations").is_dir():
        return "voc"
    for suffix, name in ((".spacy", "spacy"), (".xml", "voc"), (".data", "yolo"), (".yaml", "yolo")):
        if next(files_below(folder, (suffix,)), None) is not None:
            return name
    return None


def _said_format(line: bytes) -> str | None:
    # The header that follows can be long; the format stands before it.
    before = line.partition(b',"header"')[0]
    try:
        said = json.loads(before + b"}")
    except ValueError:
        return None
    return said.get("format") if isinstance(said, dict) and isinstance(said.get("format"), str) else None


def _of_file(path: Path) -> str | None:
    if (by_suffix := _SUFFIXES.get(path.suffix.lower())) is not None:
        return by_suffix
    with open_file(path) as stream:
        head = stream.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"["):
        return "label-studio"
    if head.startswith(b"{"):
        first = head.partition(b"\n")[0].rstrip()
        is_line = path.suffix.lower() != ".json" and first.endswith(b"}") and len(first) < len(head.rstrip())
        return "jsonl" if is_line else "coco"
    return None
