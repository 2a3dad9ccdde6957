"""What a format module offers to the converter: one object with a reader, a writer and what it can hold.

The converter does the rest for every format: it counts what the target cannot hold (`Format.holds`), writes
and reads the side-car, puts the output in its place, and refuses losses. A writer adds to `losses` only what
cannot be told from `holds`, as coordinates that it rounds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Header, Item

SpanMode = Literal["strict", "contract", "expand"]


class Feature(Enum):
    """What an item or a source can carry that some format cannot; the value is the code of its loss."""

    IMAGE_IDS = "image_ids_dropped"
    ANNOTATION_IDS = "annotation_ids_dropped"
    ANNOTATION_ORDER = "annotation_order_dropped"
    """Annotations that are not grouped by item in their source: their places among each other."""
    CATEGORY_IDS = "category_ids_dropped"
    SUPERCATEGORIES = "supercategories_dropped"
    UNUSED_CATEGORIES = "unused_categories_dropped"
    BOXES = "boxes_dropped"
    SEGMENTATION = "segmentation_dropped"
    CROWD = "crowd_dropped"
    AREA = "area_dropped"
    """An area that is not width times height of the box."""
    SCORE = "score_dropped"
    ROTATION = "rotation_dropped"
    IMAGE_SIZES = "image_sizes_dropped"
    TEXT = "text_dropped"
    SPANS = "spans_dropped"
    OVERLAPPING_SPANS = "overlapping_spans_dropped"
    ITEM_CLASSES = "item_classes_dropped"
    """A class of the whole item."""
    SEVERAL_ITEM_CLASSES = "several_item_classes_dropped"
    """More than one class of the whole item."""
    SPLIT = "split_dropped"
    ANNOTATOR = "annotator_dropped"
    EMPTY_ITEMS = "empty_items_dropped"
    """Items with no annotation and no class."""
    REVIEWED = "reviewed_dropped"
    """The difference between reviewed and empty, and never labelled."""
    TASK_TYPE = "task_type_dropped"
    INFO = "info_dropped"
    LICENCES = "licences_dropped"
    REGIONS = "label_studio_regions_dropped"
    """Regions of a Label Studio task that are no annotation of ours: brushes, ellipses, relations."""
    EXTRA = "extra_keys_dropped"
    """Values for which the model has no field, of the source, its classes, items or annotations."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user can ask of a conversion.

    image_dir: where image files lie, for their sizes. voc_origin: the coordinate of the first pixel in
    Pascal VOC files, read and written. voc_int: whole numbers there. rebase_paths: the root that is taken
    off absolute paths of the input and put before relative ones of the output (by formats that name
    image files by a path). spans: what becomes of a span that does not meet token borders. clip: boxes
    that stick out of their image are cut at its border on reading. known_size: width and height by the
    relative path of an annotation file, from a side-car; set by the converter, None where there is none.
    unchanged: whether an annotation file holds, byte for byte, what was written; set likewise.
    side_car_ignored: the side-car and why it is not trusted, where that is so; set likewise.
    language: whose words a text is cut into, for spaCy; xx is any.
    """

    image_dir: Path | None = None
    voc_origin: Literal[0, 1] = 1
    voc_int: bool = False
    rebase_paths: str | None = None
    allow_lossy: bool = False
    spans: SpanMode = "strict"
    clip: bool = False
    known_size: Callable[[str], tuple[int, int] | None] | None = None
    unchanged: Callable[[str, bytes], bool] | None = None
    side_car_ignored: str | None = None
    language: str = "xx"


@dataclass(slots=True)
class Read:
    """An item as the files say it.

    file: relative path, with forward slashes, of the file that holds the item ("" in formats of a single
    file). rows: for each annotation the text of the row or element that said it, with the name of its
    class and not only a number that another file explains; what the writer gave for the same row must be
    the same text. about: the same for what the file says of the item itself (size, text, classes of the
    whole item); the side-car's fields of the item hold where this is still as it was written. unchanged:
    Options.unchanged said so, and nothing of the file was looked at: the item has its name alone.
    """

    item: Item
    file: str = ""
    rows: list[str] = field(default_factory=list)
    about: str = ""
    unchanged: bool = False


@dataclass(slots=True)
class Written:
    """An item, and where it was written; fields as in `Read`. rows[i] is None where annotation i was not.

    content: all of the file, where it holds this item alone and its reader asks Options.unchanged.
    """

    item: Item
    file: str = ""
    rows: list[str | None] = field(default_factory=list)
    about: str = ""
    content: bytes | None = None


@dataclass(slots=True)
class Reading:
    """An opened input: its header, and its items each time they are asked for, in its own order.

    rebased: absolute paths were found and made relative to Options.rebase_paths. losses: what the files
    say and the model has no place for, counted while items are read, the first time; no side-car has it.
    notes: what a user is told and is no loss, by code, as answers that people withdrew; whole when opened.
    """

    header: Header
    reads: Callable[[], Iterator[Read]]
    rebased: bool = False
    losses: Losses = field(default_factory=Losses)
    notes: Losses = field(default_factory=Losses)


class Format(Protocol):
    """A training format. Both directions raise BadInputError, with file and place, at what it cannot take."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def holds(self) -> frozenset[Feature]:
        """What its own files can hold, without the side-car."""

    @property
    def has_side_car(self) -> bool:
        """It writes a folder, in which a side-car has its place."""

    def read(self, path: Path, options: Options) -> Reading:
        """Open a file or folder. Whatever can be checked without the items is checked here."""

    def write(
        self, header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
    ) -> Iterator[Written]:
        """Write all items, and tell of each where it was put; the output is whole when this has ended.

        target: an empty folder that is there, or the path of a file that is not yet there. Items must be
        given back in the order they came in, each as it came.
        """
