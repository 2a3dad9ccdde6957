"""Hugging Face: a DatasetDict as `save_to_disk` writes it, with splits train, validation and test.

Columns are those that the items use: name, id, width, height, text, label (or labels, where an item has
several), objects (bbox, category, area, id, iscrowd) and spans (start, end, label, id). Classes are
ClassLabel. Rows go through Arrow files, some hundred at a time. What a column cannot hold stands in the
side-car.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature, Options, Read, Reading, Written
from hiveguard_pipeline.formats.huggingface.library import offline, online
from hiveguard_pipeline.formats.huggingface.rows import about_of, item_of, row_of, rows_of
from hiveguard_pipeline.formats.huggingface.tables import SplitWriter, features_of, open_splits
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Category, Header, Item
from hiveguard_pipeline.formats.names import distinct_names
from hiveguard_pipeline.formats.text_lines import Names

if TYPE_CHECKING:
    from datasets import DatasetDict

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


def to_huggingface(
    *, annotations_path: str | Path, output_dir: str | Path, push_to_hub: bool | str = False
) -> "DatasetDict":
    """Write a file or folder in any of our formats, told by its look, as a Hugging Face dataset.

    push_to_hub: also push it, under the name given or, for True, that of output_dir; this asks the Hub as
    the user whose token the library finds. Returns the dataset as it was saved. Raises BadInputError as
    FormatConverter.convert does.
    """
    from hiveguard_pipeline.formats.convert import FormatConverter
    from hiveguard_pipeline.formats.recognise import format_of

    source, target = Path(annotations_path), Path(output_dir)
    FormatConverter().convert(
        input_path=source, input_format=format_of(source), output_path=target, output_format="huggingface"
    )
    datasets = online()
    saved: DatasetDict = datasets.load_from_disk(str(target))
    if push_to_hub:
        name = push_to_hub if isinstance(push_to_hub, str) else target.name
        try:
            saved.push_to_hub(name)
        except (OSError, ValueError) as error:
            raise BadInputError(
                f"the dataset was written to {target} and could not be pushed to {name}: {error}."
            ) from None
    return saved


FORMAT = HuggingFace()
