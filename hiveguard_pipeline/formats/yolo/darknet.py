"""Data sets described by darknet's obj.data and obj.names, or by a list of classes alone."""

import os
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.text_lines import lines_of, open_file
from hiveguard_pipeline.formats.yolo.classes import MOST_CLASSES, class_names
from hiveguard_pipeline.formats.yolo.lookup import found_below
from hiveguard_pipeline.formats.yolo.parts import Description, Part

_KEYS = frozenset({"classes", "names", "train", "valid", "test"})


def darknet(file: Path) -> Description:
    """What an obj.data says; its lists and obj.names are looked for beside it."""
    said = {}
    for number, line in _lines(file):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise BadInputError(f"{file}, line {number}: `key = value` is wanted.")
        said[key] = value
    root = file.parent
    parts: list[Part] = []
    for key, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        if key in said:
            path = found_below(root, [""], said[key])
            if path is None:
                if key == "train":
                    raise BadInputError(f"{file}: {key}: there is no {said[key]} below {root}.")
                continue
            if all(part.path != path for part in parts):
                parts.append(Part(path, split, os.path.isfile(root / path)))
    names = found_below(root, [""], said.get("names", "obj.names"))
    if names is None or not (root / names).is_file():
        raise BadInputError(f"{file}: names: there is no {said.get('names', 'obj.names')} below {root}.")
    classes = _class_lines(root / names)
    extra = {key: value for key, value in said.items() if key not in _KEYS}
    return Description(root, file, class_names(classes, said.get("classes"), file), parts, extra=extra)


def classes_alone(file: Path) -> Description:
    """classes.txt alone: images/ and labels/ beside it, or all in one folder."""
    root = file.parent
    if (root / "train.txt").is_file() and file.name == "obj.names":
        parts = [Part("train.txt", "train", True)]
        parts += [Part("valid.txt", "validation", True)] if (root / "valid.txt").is_file() else []
    else:
        below = (root / "images").is_dir() or (root / "labels").is_dir()
        parts = [Part("images" if below else "", None, False)]
    return Description(root, file, _class_lines(file), parts)


def _class_lines(file: Path) -> list[str]:
    """A class a line. A blank one before the last would move all classes after it to other numbers."""
    lines = _lines(file)
    for place, (number, _) in enumerate(lines, 1):
        if number != place:
            raise BadInputError(
                f"{file}, line {place}: a blank line among the classes, whose numbers are those of their "
                "lines; name the class, or take the line away."
            )
    return [line for _, line in lines]


def _lines(file: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, stripped, with their numbers."""
    lines = []
    with open_file(file) as stream:
        for number, line in lines_of(file, stream):
            if number > MOST_CLASSES:
                raise BadInputError(f"{file}: more than {MOST_CLASSES} lines")
            try:
                text = line.decode().strip()
            except UnicodeDecodeError:
                raise BadInputError(f"{file}, line {number}: not UTF-8 text") from None
            if text:
                lines.append((number, text))
    return lines
