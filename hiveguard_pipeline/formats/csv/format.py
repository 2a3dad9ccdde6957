"""CSV: one row an annotation; an item without any keeps a row of its own.

A row of an item's own has `label` and neither a place nor an annotator: it says a class of the whole item,
or, with no label, that there is none. What rows of an item repeat (its id, size, split and text) must be the
same in all that say it. Cells of columns that mean nothing to us go into `extra`, under `csv`. Values are
text as they stand: `01` and `NA` are labels. Rows of one item need not stand together. Columns are
found by name; csv/columns.py has the names that other tools use.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.csv.columns import (
    COLUMNS,
    UNKNOWN,
    Columns,
    annotation_of_row,
    item_of_row,
    row_of_annotation,
    row_of_item,
)
from hiveguard_pipeline.formats.csv.grouping import rows_by_item
from hiveguard_pipeline.formats.format import Feature, Options, Read, Reading, Written
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Category, Header, Item
from hiveguard_pipeline.formats.names import distinct_names, relative_to_root
from hiveguard_pipeline.formats.serialised import shown

_REPEATED = {
    "item_id": "id",
    "image_width": "width",
    "image_height": "height",
    "split": "split",
    "reviewed": "reviewed",
    "text": "text",
}
"""Column -> field of the item, of what its rows repeat."""
_QUOTE = '"'
_SPECIAL = re.compile('[",\r\n]').search
_NOT_HELD = {
    Feature.ANNOTATION_ORDER,
    Feature.CATEGORY_IDS,
    Feature.SUPERCATEGORIES,
    Feature.UNUSED_CATEGORIES,
    Feature.SEGMENTATION,
    Feature.TASK_TYPE,
    Feature.INFO,
    Feature.LICENCES,
    Feature.REGIONS,
    Feature.EXTRA,
}


class CsvRows:
    """One annotation a row."""

    name = "csv"
    holds = frozenset(Feature) - _NOT_HELD
    has_side_car = False

    def read(self, path: Path, options: Options) -> Reading:
        """Open a file by its header. Classes are in the order of their names."""
        grouped = rows_by_item(path, options.rebase_paths)
        names = sorted(grouped.labels)
        places = {name: place for place, name in enumerate(names)}

        def reads() -> Iterator[Read]:
            for where, rows in grouped.items():
                item = _item(grouped.columns, rows, places, where, options.rebase_paths)
                yield Read(item, rows=[""] * len(item.annotations))

        return Reading(Header([Category(name) for name in names]), reads, rebased=grouped.rebased)

    def write(
        self,
        header: Header,
        items: Iterable[Item],
        target: Path,
        options: Options,  # noqa: ARG002
        losses: Losses,
    ) -> Iterator[Written]:
        """Write a header of COLUMNS and the rows of each item as it comes."""
        names = distinct_names(header.categories)
        for name, category in zip(names, header.categories, strict=True):
            if name == "":
                raise BadInputError("a class without a name cannot be written as CSV; name it first.")
            if name != category.name:
                losses.add("category_names_changed", f"{category.name} is written {name}")
        with target.open("w", encoding="utf-8", newline="") as stream:
            stream.write(_line(COLUMNS))
            for item in items:
                try:
                    yield self._write_item(stream, names, item, losses)
                except UnicodeEncodeError:
                    raise BadInputError(
                        f"item {shown(item.name)}: half of a surrogate pair, which is no character."
                    ) from None

    def _write_item(self, stream: TextIO, names: list[str], item: Item, losses: Losses) -> Written:
        own = row_of_item(item)
        for place in item.labels:
            stream.write(_line([*own, names[place], *[""] * (len(COLUMNS) - len(own) - 1)]))
        rows: list[str | None] = []
        for place, annotation in enumerate(item.annotations):
            cells = row_of_annotation(annotation)
            if not any(cells):
                # It would be read as a class of the whole item.
                losses.add("placeless_annotations_dropped", f"item {item.name}, annotation {place + 1}")
                rows.append(None)
                continue
            stream.write(_line([*own, names[annotation.category], *cells]))
            rows.append("")
        if not item.labels and not any(row is not None for row in rows):
            stream.write(_line([*own, *[""] * (len(COLUMNS) - len(own))]))
        return Written(item, rows=rows)


def _line(cells: Iterable[str]) -> str:
    """A row; cells with a line end are quoted too, which Python's writer does for its own line end only."""
    return (
        ",".join(f'"{cell.replace(_QUOTE, _QUOTE * 2)}"' if _SPECIAL(cell) else cell for cell in cells) + "\n"
    )


def _item(
    columns: Columns, rows: list[tuple[int, list[str]]], places: dict[str, int], where: str, root: str | None
) -> Item:
    """An item of its rows, each with its line."""
    item = _own_part(columns, rows, where)
    if item.text is None:
        item.name = relative_to_root(item.name, root, f"{where}, line {rows[0][0]}")[0]
    labels: list[int] = []
    for line, row in rows:
        at = f"{where}, line {line}"
        if "label" not in columns or not row[columns["label"]]:
            if columns.any_of_annotation(row):
                raise BadInputError(f"{at}: a box, a span or a score without a label.")
            _add_extra(item, columns.unknown(row))
            continue
        label = places[row[columns["label"]]]
        annotation = annotation_of_row(columns, row, label, item, at)
        if annotation is None:
            labels.append(label)
            _add_extra(item, columns.unknown(row))
        else:
            item.annotations.append(annotation)
    item.labels = tuple(dict.fromkeys(labels))
    return item


def _own_part(columns: Columns, rows: list[tuple[int, list[str]]], where: str) -> Item:
    """What the rows of an item say of itself, refused where two of them differ."""
    first, row = rows[0]
    item = item_of_row(columns, row, first, f"{where}, line {first}")
    cells, said_in = columns.of_item(row), dict.fromkeys(_REPEATED, first)
    for line, row in rows[1:]:
        if columns.of_item(row) == cells:
            continue
        other = item_of_row(columns, row, line, f"{where}, line {line}")
        for name, field in _REPEATED.items():
            known, said = getattr(item, field), getattr(other, field)
            if known is None and said is not None:
                setattr(item, field, said)
                said_in[name] = line
            elif said is not None and said != known:
                raise BadInputError(
                    f"{where}, line {line}: {name}: {shown(said)} here, and {shown(known)} in line"
                    f" {said_in[name]}, of the same item; correct one of them, or leave it empty."
                )
    return item


def _add_extra(item: Item, cells: dict[str, Any]) -> None:
    """Cells that an item's own rows say; what differs from row to row becomes a list."""
    if not cells:
        return
    extra = item.extra.setdefault(UNKNOWN, {})
    for name, cell in cells.items():
        known = extra.setdefault(name, cell)
        if isinstance(known, list):
            if cell not in known:
                known.append(cell)
        elif known != cell:
            extra[name] = [known, cell]


FORMAT = CsvRows()
