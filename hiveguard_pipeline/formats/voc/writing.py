"""Writing Pascal VOC: an XML file an image, and the lists of the splits."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature, Options, Written
from hiveguard_pipeline.formats.images.geometry import upright
from hiveguard_pipeline.formats.images.names import stem_of, visible_name
from hiveguard_pipeline.formats.images.sizes import ImageFolder
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Header, Item
from hiveguard_pipeline.formats.names import OutputFolder, distinct_names, under_root
from hiveguard_pipeline.formats.voc.boxes import bndbox_of, rounded
from hiveguard_pipeline.formats.voc.elements import (
    KEEP_SPACE,
    Node,
    is_writable,
    leaves_of_nodes,
    nodes_of,
    rendered,
)
from hiveguard_pipeline.formats.voc.image_sets import LISTS
from hiveguard_pipeline.formats.voc.label_map import BACKGROUND, LABEL_MAP, label_map
from hiveguard_pipeline.formats.voc.reading import FLAGS

COORDINATES_ROUNDED = "coordinates_rounded"
NO_BOX = "annotations_without_box_dropped"

_LIST_OF_SPLIT = {split: key for key, split in LISTS.items()}
_DEVKIT = (("pose", "Unspecified"), ("truncated", 0), ("difficult", 0))
"""What readers of VOC expect of each object, with what it is where nobody has said."""


def write(
    header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
) -> Iterator[Written]:
    """Write each item as it comes; the lists are whole when all have."""
    writer = _Writer(header, target, options, losses)
    (target / "Annotations").mkdir(exist_ok=True)
    with ExitStack() as lists:
        for item in items:
            yield writer.write(item, lists)
    writer.write_label_map()


class _Writer:
    def __init__(self, header: Header, target: Path, options: Options, losses: Losses) -> None:
        self.names = distinct_names(header.categories)
        for name in self.names:
            if not name or not is_writable(name):
                raise BadInputError(
                    f"the class {name!a} is empty or holds control characters, which XML cannot; rename it."
                )
        self.folder = OutputFolder(target)
        self.options = options
        self.losses = losses
        self.images = None if options.image_dir is None else ImageFolder(options.image_dir)
        self.lists: dict[str, BinaryIO] = {}
        self.used: set[int] = set()
        for what, extra in (
            ("the source", header.extra),
            *((f"class {c.name}", c.extra) for c in header.categories),
        ):
            for key in extra:
                losses.add(Feature.EXTRA.value, f"{what}: {key}")

    def write(self, item: Item, lists: ExitStack) -> Written:
        """Write one item's file, and its line in the list of its split."""
        name = visible_name(item.name)
        stem = stem_of(name)
        file = f"Annotations/{stem}.xml"
        about = self._about(item, name, file)
        objects: list[list[Node]] = []
        rows: list[str | None] = []
        for place, annotation in enumerate(item.annotations, 1):
            nodes = self._object(annotation, f"{name}: annotation {annotation.id or place}")
            rows.append(None if nodes is None else "\n".join(leaves_of_nodes(nodes)))
            if nodes is not None:
                objects.append(nodes)
        body = rendered([*about, *(("object", nodes) for nodes in objects)], "\t")
        with self.folder.create(file, name) as out:
            out.write(f"<annotation>\n{body}</annotation>\n".encode())
        self._list(stem, item.split, lists)
        return Written(item, file, rows, "\n".join([f"split={item.split or ''}", *leaves_of_nodes(about)]))

    def write_label_map(self) -> None:
        """Write the list of classes; those nobody used are lost where it cannot hold them."""
        content = label_map(self.names)
        if content is not None:
            with self.folder.create(LABEL_MAP, LABEL_MAP) as out:
                out.write(content)
        for place, name in enumerate(self.names):
            if place not in self.used and (content is None or name == BACKGROUND):
                self.losses.add(Feature.UNUSED_CATEGORIES.value, f"'{name}'")

    def _about(self, item: Item, name: str, file: str) -> list[Node]:
        """All that is said of the image itself."""
        extra = dict(item.extra)
        nodes: list[Node] = []
        self._put(nodes, "folder", extra)
        nodes.append(("filename", name))
        if self.options.rebase_paths is not None:
            extra.pop("path", None)
            nodes.append(("path", under_root(name, self.options.rebase_paths)))
        width, height = item.width, item.height
        if (width is None or height is None) and self.images is not None:
            width, height = self.images.size(name) or (width, height)
        size: list[Node] = []
        if width is not None:
            size.append(("width", str(width)))
        if height is not None:
            size.append(("height", str(height)))
        if type(extra.get("depth")) is int and 0 <= extra["depth"] < 1_000_000:
            size.append(("depth", str(extra.pop("depth"))))
        for key in [key for key in extra if key != "size" and key != "object" and key != "filename"]:
            self._put(nodes, key, extra)
        for key in extra:
            self.losses.add(Feature.EXTRA.value, f"{file}: {key}")
        return [*nodes, ("size", size)] if size else nodes

    def _object(self, annotation: Annotation, where: str) -> list[Node] | None:
        """The children of an object element, or None for an annotation that VOC has no place for."""
        if annotation.bbox is None and (annotation.segmentation is not None or annotation.span is not None):
            self.losses.add(NO_BOX, where)
            return None
        self.used.add(annotation.category)
        extra = dict(annotation.extra)
        name = self.names[annotation.category]
        nodes: list[Node] = [("name" if name == name.strip() else f"name{KEEP_SPACE}", name)]
        for key, usual in _DEVKIT:
            extra.setdefault(key, usual)
            self._put(nodes, key, extra)
        self._put(nodes, "occluded", extra)
        if annotation.bbox is not None:
            nodes.append(self._bndbox(annotation, where))
        self._put_parts(nodes, extra, where)
        for key in [key for key in extra if key not in {"name", "bndbox", "part"}]:
            self._put(nodes, key, extra)
        for key in extra:
            self.losses.add(Feature.EXTRA.value, f"{where}: {key}")
        return nodes

    def _bndbox(self, annotation: Annotation, where: str) -> Node:
        assert annotation.bbox is not None
        box = upright(annotation.bbox, annotation.rotation)
        if self.options.voc_int:
            left, top, right, bottom = rounded(box, origin := self.options.voc_origin)
            if (left - origin, top - origin, right, bottom) != (
                box[0],
                box[1],
                box[0] + box[2],
                box[1] + box[3],
            ):
                self.losses.add(COORDINATES_ROUNDED, where)
        return bndbox_of(box, self.options.voc_origin, self.options.voc_int, where)

    def _put(self, nodes: list[Node], key: str, extra: dict[str, Any]) -> None:
        """Take a value out of extra as elements, if it is one that is read back the same."""
        value = extra.get(key)
        if key in FLAGS and value in ("0", "1", 0, 1):
            nodes.append((key, str(int(value))))
            if type(value) is int:  # True and "1" are understood, but do not come back as they were
                del extra[key]
            return
        found = None if key == "depth" else nodes_of(key, value)
        if found is not None:
            nodes.extend(found)
            del extra[key]

    def _put_parts(self, nodes: list[Node], extra: dict[str, Any], where: str) -> None:
        """Parts with a box, as reading gives them."""
        parts = extra.get("part")
        if type(parts) is not list or not parts:
            return
        made: list[Node] = []
        for part in parts:
            box = part.get("bbox") if type(part) is dict else None
            if not (type(box) is list and len(box) == 4 and all(type(side) in (int, float) for side in box)):
                return
            inside: list[Node] = []
            for key, value in part.items():
                found = (
                    [
                        bndbox_of(
                            (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                            self.options.voc_origin,
                            self.options.voc_int,
                            where,
                        )
                    ]
                    if key == "bbox"
                    else None
                    if key == "bndbox"
                    else nodes_of(key, value)
                )
                if found is None:
                    return
                inside.extend(found)
            made.append(("part", inside))
        nodes.extend(made)
        del extra["part"]

    def _list(self, stem: str, split: str | None, lists: ExitStack) -> None:
        """Put a stem into the list of its split; one without a split into default.txt, as CVAT does."""
        key = "default" if split is None else _LIST_OF_SPLIT[split]
        if key not in self.lists:
            self.lists[key] = lists.enter_context(
                self.folder.create(f"ImageSets/Main/{key}.txt", f"split {key}")
            )
        self.lists[key].write(stem.encode() + b"\n")
