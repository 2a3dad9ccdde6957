"""Rows of a snapshot as items of the training formats: its labels with classes, sizes, texts and split."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import Annotation, Category, Header, Item, Source, checked_name
from hiveguard_pipeline.rules.structured.answer import Answer, Box, read_answer
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.snapshots.header import Header as SnapshotHeader

COLUMNS = ("external_id", "data_ref", "label", "width", "height", "content", "split")
_EXAMPLES = 5
_OF_BOXES = {"iscrowd", "area", "rotation"}
"""Attributes of a box that training formats have fields for."""

Batches = Callable[[], Iterator[pa.RecordBatch]]
"""Rows with COLUMNS, from the first one on each time."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How items are called in files: by their data where that is a path below one root, else by their id."""

    by_data: bool
    root: str | None = None

    def name(self, external_id: str, data_ref: str) -> str:
        """The name of one item; raises BadInputError for one that cannot name a file."""
        if self.by_data:
            return _below(data_ref, self.root)
        return checked_name(external_id, f"item {external_id}")


def naming_of(batches: Batches, root: str | None) -> Naming:
    """data_ref names all items of a snapshot, or none: then each name is there once."""
    refs = pa.chunked_array([batch.column("data_ref") for batch in batches()], type=pa.string())
    if root is not None:
        refs = pa.chunked_array([pa.array([_below(ref, root) for ref in refs.to_pylist()], pa.string())])
    if len(pc.unique(refs)) < len(refs):
        return Naming(by_data=False)
    try:
        for ref in refs.to_pylist():
            if "://" in ref:
                return Naming(by_data=False)
            checked_name(ref, "data_ref")
    except BadInputError:
        return Naming(by_data=False)
    return Naming(by_data=True, root=root)


def _below(data_ref: str, root: str | None) -> str:
    prefix = "" if root is None else root.rstrip("/") + "/"
    return data_ref.removeprefix(prefix)


def classes_of(header: SnapshotHeader, batches: Batches) -> list[str]:
    """The snapshot's own classes in their order; where any answer was taken, the labels there are, sorted."""
    if header.classes is not None:
        return list(header.classes)
    labels = pc.unique(pa.chunked_array([batch.column("label") for batch in batches()], type=pa.string()))
    if not is_structured(header.task_type):
        return sorted(labels.to_pylist())
    return sorted(set[str]().union(*(read_answer(label).names for label in labels.to_pylist())))


def source_of(header: SnapshotHeader, batches: Batches, naming: Naming, split: str | None = None) -> Source:
    """The items of a snapshot; split: of one of its parts alone, which then is not said of each item."""
    names = classes_of(header, batches)
    places = {name: place for place, name in enumerate(names)}
    structured = is_structured(header.task_type)

    def items() -> Iterator[Item]:
        for batch in batches():
            for row in batch.to_pylist():
                if split in (None, row["split"]):
                    yield _item(row, naming, places, structured, with_split=split is None)

    return Source(Header([Category(name) for name in names]), items)


def _item(
    row: dict[str, Any], naming: Naming, places: dict[str, int], structured: bool, *, with_split: bool
) -> Item:
    item = Item(
        name=naming.name(row["external_id"], row["data_ref"]),
        width=row["width"],
        height=row["height"],
        text=row["content"],
        split=row["split"] if with_split else None,
    )
    where = f"item {row['external_id']}"
    if structured:
        answer = read_answer(row["label"])
        item.labels = tuple(_place(name, places, where) for name in answer.classes or ())
        item.annotations = _annotations(answer, places, where)
    else:
        item.labels = (_place(row["label"], places, where),)
    return item


def _annotations(answer: Answer, places: dict[str, int], where: str) -> list[Annotation]:
    boxes = [_box(box, _place(box.label, places, where)) for box in answer.boxes or ()]
    spans = [
        Annotation(_place(span.label, places, where), span=(span.start, span.end))
        for span in answer.spans or ()
    ]
    return boxes + spans


def _box(box: Box, category: int) -> Annotation:
    about: dict[str, Any] = dict(box.rest.get("attributes") or {})
    crowd = about.get("iscrowd")
    return Annotation(
        category,
        bbox=box.bbox,
        segmentation=box.rest.get("segmentation"),
        area=about.get("area"),
        rotation=about.get("rotation"),
        crowd=None if crowd is None else bool(crowd),
        extra={key: value for key, value in about.items() if key not in _OF_BOXES},
    )


def _place(name: str, places: dict[str, int], where: str) -> int:
    if name not in places:
        raise BadInputError(f"{where} has the label {name!r}, which is no class of the snapshot")
    return places[name]


def without(column: str, batches: Batches) -> str | None:
    """The names of items that lack a column, some and how many; None if none does."""
    missing: list[str] = []
    count = 0
    for batch in batches():
        lacking = batch.filter(pc.is_null(batch.column(column)))
        count += lacking.num_rows
        missing += lacking.column("external_id").slice(0, _EXAMPLES - len(missing)).to_pylist()
    if not count:
        return None
    return ", ".join(missing) + (f" and {count - len(missing):,} more" if count > len(missing) else "")
