"""The names that a saved dataset gives to its splits and data files, checked before any is opened."""

import json
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.serialised import shown

LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""


def refuse_names_outside(path: Path) -> None:
    """Refuse splits and data files that are not plain names of what lies in the folder itself."""
    folders = [path]
    said = path / "dataset_dict.json"
    if said.is_file():
        for name in _list(_object(said).get("splits"), f"{said}: splits"):
            folders.append(path / _plain(name, f"{said}: splits"))
    for folder in folders:
        said = folder / "state.json"
        if not said.is_file():
            continue
        where = f"{said}: _data_files"
        for one in _list(_object(said).get("_data_files"), where):
            _plain(one.get("filename") if isinstance(one, dict) else one, where)


def _object(path: Path) -> dict[str, Any]:
    # Read as the library does, so that both see the same names.
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise BadInputError(f"{path}: cannot be read as JSON: {error}; save the dataset again.") from None
    if not isinstance(found, dict):
        raise BadInputError(f"{path}: an object is wanted, not {shown(found)}; save the dataset again.")
    return found


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadInputError(f"{where}: a list is wanted, not {shown(value)}; save the dataset again.")
    return value


def _plain(name: Any, where: str) -> str:
    if (
        not isinstance(name, str)
        or name in {"", ".", ".."}
        or any(one in name for one in "/\\\0:")
        or len(name.encode(errors="surrogatepass")) > LONGEST_NAME
    ):
        raise BadInputError(
            f"{where}: {shown(name)} is not the plain name of what lies in this folder; nothing outside is "
            "opened. Save the dataset again with `save_to_disk`."
        )
    return name
