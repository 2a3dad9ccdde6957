"""Reading Pascal VOC: which files there are, what each says, and which split it is listed in."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Options, Read, Reading
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.names import checked_name, files_below, relative_to_root
from hiveguard_pipeline.formats.text_lines import Names
from hiveguard_pipeline.formats.voc.boxes import box_of, number
from hiveguard_pipeline.formats.voc.elements import (
    SPACE,
    by_tag,
    leaves_of_element,
    parsed,
    shown_path,
    value_of,
)
from hiveguard_pipeline.formats.voc.image_sets import ImageSets
from hiveguard_pipeline.formats.voc.label_map import LABEL_MAP, mapped_names
from hiveguard_pipeline.formats.voc.place import ANNOTATIONS, data_set

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ROBOFLOW_FOLDERS = {"train": "train", "valid": "validation", "test": "test"}
"""Folders that are splits where there are neither Annotations/ nor ImageSets/."""
FLAGS = frozenset({"difficult", "truncated", "occluded", "segmented"})
"""0 or 1 in the devkit; read as whole numbers, anything else as text."""

_IN_OBJECT = frozenset({"name", "bndbox"})
_IN_IMAGE = frozenset({"filename", "object"})


def read(path: Path, options: Options) -> Reading:
    """Open what is at a path; every file is parsed once here, for the classes and so that none is bad."""
    folder = _Folder(path, options)
    classes = mapped_names(folder.root / LABEL_MAP, folder.class_names())
    reading = Reading(Header(categories=[Category(name) for name in classes]), lambda: iter(()))
    positions = {name: place for place, name in enumerate(classes)}

    def reads() -> Iterator[Read]:
        for relative in folder.files():
            yield folder.read(relative, positions)

    reading.reads = reads
    reading.rebased = folder.rebased
    return reading


class _Folder:
    """The annotation files below a path, and the lists beside them."""

    def __init__(self, path: Path, options: Options) -> None:
        if not path.exists():
            raise BadInputError(f"{path}: there is no such file or folder")
        self.root, self.only = data_set(path)
        prefix = f"{ANNOTATIONS}/"
        if self.only is not None:
            self.prefix = prefix if self.only.startswith(prefix) else ""
        else:
            self.prefix = prefix if (self.root / ANNOTATIONS).is_dir() else ""
        self.origin = options.voc_origin
        self.rebase = options.rebase_paths
        self.rebased = False
        self.sets = ImageSets(self.root / "ImageSets" / "Main", self.root / self.prefix)
        self.by_folder = self.only is None and not self.prefix and not self.sets

    def files(self) -> Iterator[str]:
        """Paths of the XML files, relative to the root, sorted."""
        if self.only is not None:
            yield self.only
            return
        for relative in files_below(self.root / self.prefix, (".xml",), sure=(".xml",), inside=self.root):
            yield self.prefix + relative

    def class_names(self) -> set[str]:
        """The names of all objects. Raises BadInputError at a bad file, or if there is none."""
        names: set[str] = set()
        images = Names()
        found = False
        for relative in self.files():
            found = True
            root, shown = self._parsed(relative)
            images.add(self._name(root, relative, shown))
            for place, thing in enumerate(root.iterfind("object"), 1):
                names.add(_class_name(thing, f"{shown}: object {place}"))
        if not found and not self.prefix:
            raise BadInputError(f"{self.root}: there is no Annotations/ here, and no XML file below.")
        if pair := images.repeated():
            self._refuse_repeated(pair)
        return names

    def read(self, relative: str, positions: dict[str, int]) -> Read:
        """What one file says; positions: of the classes in the header."""
        root, shown = self._parsed(relative)
        item = Item(name=self._name(root, relative, shown), split=self._split(relative, shown))
        item.width, item.height = _size(root.find("size"), shown)
        item.extra = _extra_of_image(root, shown)
        rows = []
        for place, thing in enumerate(root.iterfind("object"), 1):
            where = f"{shown}: object {place}"
            name = _class_name(thing, where)
            if name not in positions:
                raise BadInputError(
                    f"{where}: the class '{name}' was not there a moment ago; the files changed."
                )
            bndbox = thing.find("bndbox")
            item.annotations.append(
                Annotation(
                    category=positions[name],
                    bbox=None if bndbox is None else box_of(bndbox, self.origin, f"{where} ({name})"),
                    extra=self._extra_of_object(thing, where),
                )
            )
            rows.append("\n".join(leaves_of_element(thing)))
        about = "\n".join([f"split={item.split or ''}", *leaves_of_element(root, skip="object")])
        return Read(item, relative, rows, about)

    def _parsed(self, relative: str) -> "tuple[Element, str]":
        shown = shown_path(self.root, relative)
        root = parsed(self.root / relative, shown)
        if root.tag != "annotation":
            raise BadInputError(
                f"{shown}: its outermost element is <{root.tag[:40]}>, not <annotation>: no Pascal VOC file."
            )
        return root, shown

    def _name(self, root: "Element", relative: str, shown: str) -> str:
        """The item's name: the filename, below the folder that the XML file lies in unless it says its own.

        With rebase_paths an absolute <path> or <filename> tells the name.
        """
        stem = relative.removeprefix(self.prefix)[: -len(".xml")]
        path = root.findtext("path") or ""
        if self.rebase is not None and path.startswith(self.rebase.rstrip("/") + "/"):
            self.rebased = True
            return relative_to_root(path, self.rebase, f"{shown}: path")[0]
        said = root.findtext("filename") or stem
        if "\n" in said:  # laid out on lines of its own
            said = said.strip() or stem
        name, was_absolute = relative_to_root(said, self.rebase, f"{shown}: filename")
        if was_absolute:
            self.rebased = True
        elif "/" not in name and "/" in stem:
            name = checked_name(f"{stem.rpartition('/')[0]}/{name}", shown)
        return name

    def _split(self, relative: str, shown: str) -> str | None:
        if self.by_folder:
            return ROBOFLOW_FOLDERS.get(relative.partition("/")[0]) if "/" in relative else None
        return self.sets.split_of(relative.removeprefix(self.prefix)[: -len(".xml")], shown)

    def _extra_of_object(self, thing: "Element", where: str) -> dict[str, Any]:
        plain = _plain_extra(thing)
        if plain is not None:
            return plain
        extra: dict[str, Any] = {f"@{name}": text for name, text in thing.attrib.items()}
        for tag, children in by_tag(thing).items():
            if len(children) > 1 and tag in _IN_OBJECT:
                raise BadInputError(f"{where}: {len(children)} elements <{tag}>, where one is wanted.")
            if tag == "part":
                extra[tag] = [
                    self._part(one, f"{where}: part {place}") for place, one in enumerate(children, 1)
                ]
            elif tag not in _IN_OBJECT:
                extra[tag] = _value(tag, children, where)
        return extra

    def _part(self, part: "Element", where: str) -> dict[str, Any]:
        """A part of a person (head, hand, foot), its bndbox as a box of the model."""
        value = value_of(part, where)
        bndbox = part.find("bndbox")
        if bndbox is None or type(value) is not dict:
            raise BadInputError(f"{where}: it has no bndbox.")
        del value["bndbox"]
        return {**value, "bbox": list(box_of(bndbox, self.origin, where))}

    def _refuse_repeated(self, pair: tuple[int, int]) -> None:
        first, second = (next(islice(self.files(), place, None)) for place in pair)
        root, shown = self._parsed(second)
        name = self._name(root, second, shown)
        raise BadInputError(f"{shown}: the image {name} is that of {first} already; each image has one file.")


def _plain_extra(thing: "Element") -> dict[str, Any] | None:
    """The usual object's extra, read in one go; None for one with nested, repeated or further elements."""
    if thing.attrib:
        return None
    extra: dict[str, Any] = {}
    expected = set(_IN_OBJECT)
    for child in thing:
        tag, text = child.tag, child.text
        if tag in expected:
            expected.remove(tag)
        elif (
            tag in extra or tag in _IN_OBJECT or tag == "part" or tag == "depth" or len(child) or child.attrib
        ):
            return None
        else:
            extra[tag] = int(text) if tag in FLAGS and text in ("0", "1") else text or ""
    return None if expected else extra


def _class_name(thing: "Element", where: str) -> str:
    """The class of an object, less the white space around it, unless the file says that it counts."""
    element = thing.find("name")
    name = "" if element is None else element.text or ""
    if element is not None and element.get(SPACE) != "preserve":
        name = name.strip()
    if not name:
        raise BadInputError(f"{where}: it has no name, so no class.")
    return name


def _size(size: "Element | None", shown: str) -> tuple[int | None, int | None]:
    """Width and height; 0 is what tools write that do not know it."""
    if size is None:
        return None, None
    sides = []
    for side in ("width", "height"):
        value = number(size.findtext(side) or "0", f"size/{side}", shown)
        if value < 0 or not value.is_integer() or value >= 2.0**31:
            raise BadInputError(f"{shown}: size/{side}: whole pixels below 2**31 are wanted, not {value:g}.")
        sides.append(int(value) or None)
    return sides[0], sides[1]


def _extra_of_image(root: "Element", shown: str) -> dict[str, Any]:
    extra: dict[str, Any] = {f"@{name}": text for name, text in root.attrib.items()}
    for tag, children in by_tag(root).items():
        if len(children) > 1 and tag in {"filename", "size"}:
            raise BadInputError(f"{shown}: {len(children)} elements <{tag}>, where one is wanted.")
        if tag == "size":
            for inner, grandchildren in by_tag(children[0]).items():
                if inner not in {"width", "height"}:
                    extra[inner] = _value(inner, grandchildren, shown)
        elif tag not in _IN_IMAGE:
            extra[tag] = _value(tag, children, shown)
    return extra


def _value(tag: str, children: "list[Element]", where: str) -> Any:
    values = [value_of(child, where) for child in children]
    value = values if len(values) > 1 else values[0]
    if (tag in FLAGS and value in ("0", "1")) or (
        tag == "depth"
        and type(value) is str
        and value.isascii()
        and value.isdigit()
        and str(int(value[:6])) == value
    ):
        return int(value)
    return value
