"""Hugging Face: a DatasetDict as `save_to_disk` writes it, with splits train, validation and test.

Columns are those that the items use: name, id, width, height, text, label (or labels, where an item has
several), objects (bbox, category, area, id, iscrowd) and spans (start, end, label, id). Classes are
ClassLabel. Rows go through Arrow files, some hundred at a time. What a column cannot hold stands in the
side-car.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hiveguard_pipeline.formats.format import Feature, Options, Read, Reading, Written
from hiveguard_pipeline.formats.huggingface.library import offline
from hiveguard_pipeline.formats.huggingface.rows import about_of, item_of, row_of, rows_of
from hiveguard_pipeline.formats.huggingface.tables import SplitWriter, features_of, open_splits
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Category, Header, Item
from hiveguard_pipeline.formats.names import distinct_names
from hiveguard_pipeline.formats.text_lines import Names

_SPLITS = ("train", "validation", "test")


class HuggingFace:
    """A saved DatasetDict."""

    name = "huggingface"
    has_side_car = True
    holds = frozenset(
        {
            Feature.IMAGE_IDS,
            Feature.ANNOTATION_IDS,
            Feature.BOXES,
            Feature.CROWD,
            Feature.AREA,
            Feature.IMAGE_SIZES,
            Feature.TEXT,
            Feature.SPANS,
            Feature.OVERLAPPING_SPANS,
            Feature.ITEM_CLASSES,
            Feature.SEVERAL_ITEM_CLASSES,
            Feature.SPLIT,
            Feature.EMPTY_ITEMS,
            Feature.UNUSED_CATEGORIES,
        }
    )

    def read(self, path: Path, options: Options) -> Reading:  # noqa: ARG002
        """Open what `save_to_disk` has written: a DatasetDict, or one Dataset."""
        splits = open_splits(path)
        header = Header([Category(name) for name in splits.names])

        def reads() -> Iterator[Read]:
            names = Names()
            for split, number, row in splits.rows():
                where = f"{path}, {split}, row {number}"
                item = item_of(row, split, number, len(header.categories), where)
                names.add(item.name)
                yield Read(item, split, rows_of(row, splits.names), about_of(row, splits.names))
            names.refuse_repeated(str(path))

        return Reading(header, reads)

    def write(
        self,
        header: Header,
        items: Iterable[Item],
        target: Path,
        options: Options,  # noqa: ARG002
        losses: Losses,
    ) -> Iterator[Written]:
        """Write rows to Arrow files beside the target as items come, and then save them as a DatasetDict."""
        names = distinct_names(header.categories)
        with offline() as datasets, SplitWriter(datasets, features_of(datasets, names), target) as splits:
            for item in items:
                row, said = row_of(item, names, losses)
                split = item.split or "train"
                splits.add(split, row)
                yield Written(item, split, said, about_of(row, names))
            splits.save(_SPLITS)


FORMAT = HuggingFace()
