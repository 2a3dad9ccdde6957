"""Reading YOLO: each image with the rows of its label file, and its size from wherever it is known."""

from collections.abc import Iterator
from pathlib import Path

from hiveguard_pipeline.formats.format import Options, Read, Reading
from hiveguard_pipeline.formats.images.sizes import ImageFolder
from hiveguard_pipeline.formats.model import Category, Header, Item
from hiveguard_pipeline.formats.text_lines import Names
from hiveguard_pipeline.formats.yolo.description import describe
from hiveguard_pipeline.formats.yolo.images import Image, images_of
from hiveguard_pipeline.formats.yolo.parts import Description
from hiveguard_pipeline.formats.yolo.paths import LabelFiles
from hiveguard_pipeline.formats.yolo.rows import RowReader
from hiveguard_pipeline.formats.yolo.sizes import NAMED, sizes_unknown


def read(path: Path, options: Options) -> Reading:
    """Open what is at a path; the names of all images are looked through here."""
    description = describe(path, options.rebase_paths)
    header = Header(categories=[Category(name) for name in description.names], extra=description.extra)
    reader = _Reader(description, options)
    return Reading(header, reader.reads, rebased=description.rebased)


class _Reader:
    def __init__(self, description: Description, options: Options) -> None:
        self.description = description
        self.options = options
        self.labels = LabelFiles(description.root)
        self.images = ImageFolder(description.root)
        self.other_images = None if options.image_dir is None else ImageFolder(options.image_dir)
        self.rows = RowReader(description.names, description.obb, description.keypoints, options.clip)
        names = Names()
        for image in images_of(description, options.rebase_paths):
            if not image.is_note:
                names.add(image.name)
        # Two splits may each have an 0001.jpg: then their folders are part of all names.
        self.whole_paths = names.repeated() is not None

    def reads(self) -> Iterator[Read]:
        """All images; at the end BadInputError if there were some whose size nobody knows."""
        unknown = 0
        first: list[str] = []
        names = Names()
        for image in images_of(self.description, self.options.rebase_paths):
            read = self._read(image)
            if read is not None:
                names.add(read.item.name)
                yield read
            elif not image.is_note:
                unknown += 1
                if len(first) < NAMED:
                    first.append(image.path)
        if unknown:
            ignored = self.options.side_car_ignored
            raise sizes_unknown(f"{self.description.root}: ", unknown, first, ignored)
        names.refuse_repeated(str(self.description.file))

    def _read(self, image: Image) -> Read | None:
        """One image, or None where its size is not known and is wanted."""
        data = self.labels.read(image.labels) or b""
        if self.options.unchanged is not None and self.options.unchanged(image.labels, data):
            name = image.path if self.whole_paths else image.name
            return Read(Item(name, split=image.split), image.labels, unchanged=True)
        known = self.options.known_size
        size = None if known is None else known(image.labels)
        name = image.path if self.whole_paths else image.name
        if size is None:
            size, suffix = self._size_from_files(image)
            if suffix is not None:
                name += suffix
        item = Item(name, split=image.split)
        rows: list[str] = []
        if size is not None:
            item.width, item.height = size
            where = f"{self.labels.root}/{image.labels}"
            item.annotations, rows = self.rows.read(data, size[0], size[1], where)
        elif data.strip() or (not image.has_file and (known is None or image.is_note)):
            return None
        return Read(item, image.labels, rows)

    def _size_from_files(self, image: Image) -> tuple[tuple[int, int] | None, str | None]:
        """Width and height, and the suffix of the image file where the label file alone did not tell it."""
        if image.has_file and (size := self.images.size(image.path)) is not None:
            return size, None
        if self.other_images is None:
            return None, None
        folder = image.path[: -len(image.name)].rstrip("/").rpartition("/")[2]
        for path in (image.name, f"{folder}/{image.name}" if folder else image.path, image.path):
            if (size := self.other_images.size(path)) is not None:
                return size, None
            if not image.has_file:
                found = self.other_images.with_stem(path)
                if found is not None and (size := self.other_images.size(found)) is not None:
                    return size, found[len(path) :]
        return None, None
