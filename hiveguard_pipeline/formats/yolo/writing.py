"""Writing YOLO: a label file an item, and data.yaml. Image files stay where they are."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature, Options, Written
from hiveguard_pipeline.formats.images.geometry import upright
from hiveguard_pipeline.formats.images.names import visible_name
from hiveguard_pipeline.formats.images.sizes import ImageFolder
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Header, Item
from hiveguard_pipeline.formats.names import OutputFolder, distinct_names
from hiveguard_pipeline.formats.yolo.parts import SPLITS, UNSPLIT
from hiveguard_pipeline.formats.yolo.paths import label_file
from hiveguard_pipeline.formats.yolo.safe_yaml import quoted
from hiveguard_pipeline.formats.yolo.sizes import NAMED, sizes_unknown

CLIPPED = "boxes_clipped"
OUTSIDE = "boxes_outside_image_dropped"
NO_BOX = "annotations_without_box_dropped"

_FOLDERS: dict[str | None, str] = {None: "all", **{split: key for key, split in SPLITS.items()}}
"""Split -> folder below images/ and labels/."""


def write(
    header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
) -> Iterator[Written]:
    """Write each item as it comes, data.yaml at the end.

    Raises BadInputError at the end if there were items with boxes whose size nobody knows.
    """
    writer = _Writer(header, target, options, losses)
    for item in items:
        yield writer.write(item)
    writer.finish()


class _Writer:
    def __init__(self, header: Header, target: Path, options: Options, losses: Losses) -> None:
        self.names = distinct_names(header.categories)
        for name in self.names:
            if not name or any("\ud800" <= letter <= "\udfff" for letter in name):
                raise BadInputError(f"the class {name!a} is empty or holds half a character; rename it.")
        self.target = target
        self.folder = OutputFolder(target)
        self.losses = losses
        self.rebase = options.rebase_paths
        self.images = None if options.image_dir is None else ImageFolder(options.image_dir)
        self.splits: set[str | None] = set()
        self.unknown = 0
        self.first_unknown: list[str] = []

    def write(self, item: Item) -> Written:
        """Write one item's label file; an item without annotations has an empty one."""
        name = visible_name(item.name)
        self.splits.add(item.split)
        file = label_file(f"images/{_FOLDERS[item.split]}/{name}")
        size = self._size(item, name) if item.annotations else None
        rows: list[str | None] = []
        lines: list[str] = []
        for place, annotation in enumerate(item.annotations, 1):
            numbers = None
            if annotation.crowd and annotation.segmentation is not None:
                self.losses.add(Feature.SEGMENTATION.value, _where(annotation, name, place))
            if not annotation.crowd and size is not None:
                numbers = self._numbers(annotation, size[0], size[1], name, place)
            if numbers is None:
                rows.append(None)
            else:
                rows.append(f"{self.names[annotation.category]} {numbers}")
                lines.append(f"{annotation.category} {numbers}\n")
        content = "".join(lines).encode()
        self.folder.write(file, content, name)
        return Written(item, file, rows, content=content)

    def finish(self) -> None:
        """Write data.yaml, unless sizes were missing."""
        if self.unknown:
            raise sizes_unknown("", self.unknown, self.first_unknown)
        lines = ["# The image files belong below images/, as their label files are below labels/.\n"]
        if self.rebase is not None:
            lines.append(f"path: {quoted(self.rebase)}\n")
        # Readers want train and val. Named twice, images without a split would be doubled by some of them.
        parts: dict[str, str | None] = {key: split for key, split in SPLITS.items() if key != "test"}
        if "test" in self.splits:
            parts["test"] = "test"
        if self.splits <= {None}:
            parts["train"] = None
        if None in self.splits or not self.splits:
            parts[UNSPLIT] = None
        for key, split in parts.items():
            lines.append(f"{key}: images/{_FOLDERS[split]}\n")
            for kind in (
                "images",
                "labels",
            ):  # the place for image files too: readers look whether it is there
                (self.target / kind / _FOLDERS[split]).mkdir(parents=True, exist_ok=True)
        lines.append(f"nc: {len(self.names)}\n")
        lines.append("names:\n" if self.names else "names: []\n")
        lines.extend(f"- {quoted(name)}\n" for name in self.names)
        with self.folder.create("data.yaml", "data.yaml") as out:
            out.write("".join(lines).encode())

    def _size(self, item: Item, name: str) -> tuple[int, int] | None:
        width, height = item.width, item.height
        if width and height:
            return width, height
        if self.images is not None and (size := self.images.size(name)) is not None:
            return size
        self.unknown += 1
        if len(self.first_unknown) < NAMED:
            self.first_unknown.append(name)
        return None

    def _numbers(self, annotation: Annotation, width: int, height: int, name: str, place: int) -> str | None:
        """The numbers of a row, or None for an annotation that is neither a box nor one polygon."""
        if annotation.bbox is None:
            return self._polygon(annotation, width, height, name, place)
        if annotation.segmentation is not None:
            self.losses.add(Feature.SEGMENTATION.value, _where(annotation, name, place))
        x, y, w, h = annotation.bbox
        if annotation.rotation:
            x, y, w, h = upright(annotation.bbox, annotation.rotation)
        centre, middle, across, down = (x + w / 2) / width, (y + h / 2) / height, w / width, h / height
        if not (0 <= centre <= 1 and 0 <= middle <= 1 and across <= 1 and down <= 1):
            # Readers of YOLO turn away the whole image for one such number.
            left, right = min(max(x, 0.0), width), min(max(x + w, 0.0), width)
            top, bottom = min(max(y, 0.0), height), min(max(y + h, 0.0), height)
            beside = x > width or y > height or x + w < 0 or y + h < 0
            if beside or (left == right and w > 0) or (top == bottom and h > 0):
                self.losses.add(OUTSIDE, _where(annotation, name, place))
                return None
            self.losses.add(CLIPPED, _where(annotation, name, place))
            centre, middle = (left + right) / 2 / width, (top + bottom) / 2 / height
            across, down = (right - left) / width, (bottom - top) / height
        return f"{centre!r} {middle!r} {across!r} {down!r}"

    def _polygon(self, annotation: Annotation, width: int, height: int, name: str, place: int) -> str | None:
        parts = annotation.segmentation
        if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], list):
            if annotation.span is None:
                self.losses.add(NO_BOX, _where(annotation, name, place))
            return None
        sides = parts[0]
        if len(sides) < 6 or len(sides) % 2 or not all(type(side) in (int, float) for side in sides):
            self.losses.add(NO_BOX, _where(annotation, name, place))
            return None
        shares = [side / (height if odd % 2 else width) for odd, side in enumerate(sides)]
        inside = [min(max(share, 0.0), 1.0) for share in shares]
        if inside != shares:
            self.losses.add(CLIPPED, _where(annotation, name, place))
        return " ".join(map(repr, inside))


def _where(annotation: Annotation, name: str, place: int) -> str:
    return f"{name}: annotation {place if annotation.id is None else annotation.id}"
