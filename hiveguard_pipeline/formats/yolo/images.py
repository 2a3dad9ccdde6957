"""The images of a data set one after the other, by what is there: image files, label files, or both."""

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.names import stem_of
from hiveguard_pipeline.formats.images.sizes import SUFFIXES
from hiveguard_pipeline.formats.names import checked_name, files_below, is_inside, relative_to_root
from hiveguard_pipeline.formats.text_lines import lines_of, open_file
from hiveguard_pipeline.formats.yolo.lookup import first_below
from hiveguard_pipeline.formats.yolo.parts import Description, Part
from hiveguard_pipeline.formats.yolo.paths import image_folder, is_below, label_file, label_folder

_NOTES = frozenset(
    {"classes.txt", "notes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "requirements.txt"}
)
"""Text files that tools put beside label files."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image. path: of the image file below the root, without its suffix where there is no such file.

    name: the same as an item's name, below the folder of its split. labels: its label file, there or not.
    """

    path: str
    name: str
    labels: str
    split: str | None
    has_file: bool

    @property
    def is_note(self) -> bool:
        """Its label file bears a name that tools give to other texts, and there is no image of that name."""
        name = self.labels.rpartition("/")[2]
        return not self.has_file and (name in _NOTES or name.lower().startswith("readme"))


def images_of(description: Description, rebase_paths: str | None) -> Iterator[Image]:
    """All images, part by part, sorted by path; those of a list in its order.

    Raises BadInputError for names that are unsafe, and for two images that share a label file.
    """
    folders = [part.path for part in description.parts if not part.is_list]
    for part in description.parts:
        if part.is_list:
            yield from _listed(description, part, rebase_paths)
        else:
            # A folder inside another part's folder has images of its own.
            inner = [one for one in folders if one != part.path and is_below(one, part.path)]
            yield from _in_folder(description.root, part, inner)


def _in_folder(root: Path, part: Part, inner: list[str]) -> Iterator[Image]:
    labels_below = label_folder(part.path)
    folders: set[str] = set()
    for below in {part.path, labels_below}:
        if os.path.isdir(root / below) and is_inside(os.path.realpath(root), os.fspath(root / below)):
            for file in _files(root, below, (*SUFFIXES, ".txt")):
                folder = file.rpartition("/")[0]
                if not file.lower().endswith(".txt"):
                    folders.add(folder)
                else:
                    images = image_folder(folder, part.path)
                    if images is not None:
                        folders.add(images)
    for folder in sorted(folders):
        if is_below(folder, part.path) and not any(is_below(folder, one) for one in inner):
            yield from _in_one(root, folder, part)


def _in_one(root: Path, folder: str, part: Part) -> Iterator[Image]:
    """The images of one folder, by their stems; each has an image file, a label file or both."""
    labels = label_folder(folder)
    by_stem: dict[str, str | None] = {}
    for name in _names(root, labels):
        if name.endswith(".txt"):
            by_stem[stem_of(name)] = None
    for name in _names(root, folder):
        if PurePosixPath(name).suffix.lower() in SUFFIXES:
            stem = stem_of(name)
            other = by_stem.get(stem)
            if other is not None:
                raise BadInputError(
                    f"{root / folder / name}: it shares its label file {stem}.txt with {other}; rename one."
                )
            by_stem[stem] = name
    start = len(part.path) + 1 if part.path else 0
    for stem in sorted(by_stem):
        name = by_stem[stem] or stem
        path = f"{folder}/{name}" if folder else name
        checked_name(path, f"{root}")
        file = f"{labels}/{stem}.txt" if labels else f"{stem}.txt"
        yield Image(path, path[start:], file, part.split, by_stem[stem] is not None)


def _listed(description: Description, part: Part, rebase_paths: str | None) -> Iterator[Image]:
    """The images of a list file: paths as another machine may have written them, found by their ends."""
    root, file = description.root, description.root / part.path
    here = posixpath.dirname(part.path)
    dropped = 0
    with open_file(file) as stream:
        for number, line in lines_of(file, stream):
            where = f"{file}, line {number}"
            try:
                said = line.decode().strip()
            except UnicodeDecodeError:
                raise BadInputError(f"{where}: not UTF-8 text") from None
            if not said:
                continue
            if len(said) > 4096:
                raise BadInputError(f"{where}: a path of more than 4096 characters")
            if rebase_paths is not None and said.startswith("/"):
                said, was_absolute = relative_to_root(said, rebase_paths, where)
                description.rebased |= was_absolute
            elif said.startswith("./"):
                said = posixpath.join(here, said)
            usual = posixpath.normpath(said).lstrip("/").split("/", dropped)[-1]
            found = usual if _has(root, usual) else first_below(said, lambda one: _has(root, one))
            if found:
                dropped = said.strip("/").count("/") - found.count("/")
            path = checked_name(found or usual, where)
            labels = label_file(path)
            if not os.path.isfile(root / labels) and os.path.isfile(root / f"{stem_of(path)}.txt"):
                labels = f"{stem_of(path)}.txt"
            yield Image(path, _without_data_folder(path), labels, part.split, os.path.isfile(root / path))


def _has(root: Path, image: str) -> bool:
    if not image or image.startswith("../") or "\0" in image:
        return False
    return any(os.path.isfile(root / one) for one in (label_file(image), image, f"{stem_of(image)}.txt"))


def _without_data_folder(path: str) -> str:
    """A path without the folder that only says that data is in it: images/, data/, obj_train_data/ (CVAT)."""
    first, slash, rest = path.partition("/")
    is_data = first in {"images", "data"} or (first.startswith("obj_") and first.endswith("_data"))
    return rest if slash and is_data else path


def _files(root: Path, below: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    for file in files_below(root / below, suffixes, sure=(".txt",), inside=root):
        yield f"{below}/{file}" if below else file


def _names(root: Path, folder: str) -> list[str]:
    try:
        with os.scandir(root / folder) as found:
            return [entry.name for entry in found if not entry.name.startswith(".") and entry.is_file()]
    except FileNotFoundError:
        return []
