"""Reading what a YOLO data set says of itself: its classes, and where the images of each split are.

Three kinds: data.yaml (Ultralytics, Roboflow), obj.data with obj.names (darknet), and classes.txt (labelImg,
Label Studio). Such files were often written on another machine: what they name is looked for below the data
set's own folder, and nowhere else.
"""

import os
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.yolo.classes import class_names, whole_number
from hiveguard_pipeline.formats.yolo.darknet import classes_alone, darknet
from hiveguard_pipeline.formats.yolo.lookup import found_below
from hiveguard_pipeline.formats.yolo.parts import SPLITS, UNSPLIT, Description, Part
from hiveguard_pipeline.formats.yolo.safe_yaml import read_yaml

_OTHER_KEYS = {"valid": "val", "validation": "val"}
_CLASS_FILES = ("classes.txt", "obj.names")


def describe(path: Path, rebase_paths: str | None) -> Description:
    """The description of what is at a path: a folder, or the data.yaml or .data file of one."""
    if not path.exists():
        raise BadInputError(f"{path}: there is no such file or folder.")
    if path.is_file():
        return darknet(path) if path.suffix == ".data" else _ultralytics(path, rebase_paths)
    for name in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml"):
        if (path / name).is_file():
            return _ultralytics(path / name, rebase_paths)
    for suffixes, reader in (
        ((".yaml", ".yml"), lambda file: _ultralytics(file, rebase_paths)),
        ((".data",), darknet),
    ):
        found = _only(path, suffixes)
        if found is not None:
            return reader(found)
    for name in _CLASS_FILES:
        if (path / name).is_file():
            return classes_alone(path / name)
    raise BadInputError(
        f"{path}: nothing here describes a YOLO data set: no data.yaml, no obj.data, no classes.txt."
    )


def _ultralytics(file: Path, rebase_paths: str | None) -> Description:
    said = read_yaml(file)
    if not isinstance(said, dict):
        raise BadInputError(f"{file}: the keys train, val and names are wanted, and this is no mapping.")
    said = {_OTHER_KEYS.get(key, key): value for key, value in said.items()}
    root = file.parent
    base = said.pop("path", None)
    if base is not None and not isinstance(base, str):
        raise BadInputError(f"{file}: path: one folder is wanted.")
    names = class_names(said.pop("names", None), said.pop("nc", None), file)
    parts: dict[str, Part] = {}
    for key, split in (*SPLITS.items(), (UNSPLIT, None)):
        value = said.pop(key, None)
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            if not isinstance(one, str):
                raise BadInputError(f"{file}: {key}: a folder or a list of folders is wanted.")
            path = found_below(root, [base or "", ""], one)
            if path is not None:
                known = parts.get(path)
                # The same images to train and to validate with: there is no split.
                chosen = split if known is None or known.split == split else None
                parts[path] = Part(path, chosen, os.path.isfile(root / path))
            elif key != "test":  # Roboflow names a test folder that is often not there
                raise BadInputError(
                    f"{file}: {key}: there is neither {one} nor its labels below {root}; put the images or "
                    "labels there, or correct the path."
                )
    if not parts:
        raise BadInputError(f"{file}: it names no images: train, val or test is wanted.")
    shape = said.get("kpt_shape")
    task = said.get("task")
    return Description(
        root=root,
        file=file,
        names=names,
        parts=list(parts.values()),
        obb=task == "obb",
        keypoints=None if shape is None else _keypoints(shape, file),
        extra=said,
        rebased=rebase_paths is not None
        and base is not None
        and base.rstrip("/") == rebase_paths.rstrip("/"),
    )


def _keypoints(shape: Any, file: Path) -> tuple[int, int]:
    sides = [whole_number(one) for one in shape] if isinstance(shape, list) else []
    if len(sides) != 2 or sides[0] is None or not 0 < sides[0] < 10_000 or sides[1] not in (2, 3):
        raise BadInputError(f"{file}: kpt_shape: [how many points, 2 or 3] is wanted.")
    return sides[0], sides[1]


def _only(folder: Path, suffixes: tuple[str, ...]) -> Path | None:
    found = sorted(one for one in folder.iterdir() if one.suffix in suffixes and one.is_file())
    if len(found) > 1:
        raise BadInputError(
            f"{folder}: {found[0].name} and {found[1].name} could each describe the data set; name one as "
            "the input."
        )
    return found[0] if found else None
