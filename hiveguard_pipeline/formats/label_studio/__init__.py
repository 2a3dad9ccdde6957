"""Label Studio JSON: files of tasks as a server exports and imports them.

array_elements.py cuts a file into tasks, tasks.py reads a task as an item, regions.py the regions in it,
references.py the names of its images, and writing.py makes tasks. Facts of the format:
https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature, Options, Read, Reading, Written
from hiveguard_pipeline.formats.label_studio.array_elements import elements
from hiveguard_pipeline.formats.label_studio.references import below_root
from hiveguard_pipeline.formats.label_studio.regions import labels_of
from hiveguard_pipeline.formats.label_studio.tasks import (
    HG_HEADER,
    item_of,
    name_of,
    note_task,
    safe_name,
    task_of,
)
from hiveguard_pipeline.formats.label_studio.writing import TaskWriter
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Category, Header, Item
from hiveguard_pipeline.formats.names import distinct_names
from hiveguard_pipeline.formats.serialised import header_from_json, header_to_json, is_header, shown
from hiveguard_pipeline.formats.text_lines import Names

_NO_HEADER = {"header": False}
"""The layout of a file that names its classes in its regions only."""


class LabelStudio:
    """Tasks with annotations."""

    name = "label-studio"
    holds = frozenset(Feature)
    has_side_car = False

    def read(self, path: Path, options: Options) -> Reading:
        """Open an export or import file, after a pass over it for the classes and the names of its items."""
        survey = _Survey()
        for number, raw in elements(path):
            survey.add(raw, number, path, options)
        qualified = survey.needs_host(path)
        header = survey.header()
        places = {name: place for place, name in enumerate(distinct_names(header.categories))}

        def reads() -> Iterator[Read]:
            for number, raw in elements(path):
                task = task_of(raw, number, f"{path}, task {number}")
                _refuse_turned(task, options)
                if HG_HEADER in task.data and task.is_ours:
                    del task.data[HG_HEADER]
                item = item_of(task, places, options.rebase_paths, qualified)
                yield Read(item, rows=[""] * len(item.annotations))

        return Reading(header, reads, rebased=survey.rebased, notes=survey.notes)

    def write(
        self,
        header: Header,
        items: Iterable[Item],
        target: Path,
        options: Options,
        losses: Losses,
    ) -> Iterator[Written]:
        """Write an array of tasks, one a line, each as its item comes; the first holds the header."""
        labels = distinct_names(header.categories)
        for name, category in zip(labels, header.categories, strict=True):
            if name != category.name:
                losses.add("category_names_changed", f"{category.name} is written {name}")
        writer = TaskWriter(labels, options)
        needs_header = header.layout.get(self.name) != _NO_HEADER
        with target.open("wb") as stream:
            stream.write(b"[")
            for number, item in enumerate(items, start=1):
                for place, annotation in enumerate(item.annotations):
                    if annotation.span is not None and item.text is None:
                        raise BadInputError(
                            f"item {shown(item.name)}, annotation {place + 1}: a span, and the item has no"
                            " text to write it with."
                        )
                task = writer.task(item, number)
                if number == 1 and needs_header and HG_HEADER not in task["data"]:
                    task["data"] = {**task["data"], HG_HEADER: header_to_json(header)}
                stream.write(b"\n" if number == 1 else b",\n")
                stream.write(_line(task, item))
                yield Written(item, rows=[""] * len(item.annotations))
            stream.write(b"\n]\n")


class _Survey:
    """What a file of tasks holds as a whole."""

    def __init__(self) -> None:
        self.notes = Losses()
        self.rebased = False
        self._plain = Names()
        self._qualified = Names()
        self._labels: set[str] = set()
        self._headers: list[Header] = []

    def add(self, raw: Any, number: int, path: Path, options: Options) -> None:
        """See one more task."""
        task = task_of(raw, number, f"{path}, task {number}")
        note_task(task, self.notes)
        for one in task.regions:
            if one.kind is not None:
                self._labels.update(labels_of(one.region))
        if is_header(found := task.data.get(HG_HEADER)):
            self._headers.append(header_from_json(found, f"{task.where}: data.{HG_HEADER}"))
        root = options.rebase_paths
        self.rebased |= task.image_key is not None and below_root(task.data[task.image_key], root) is not None
        ours = task.data.get("hg_id") if "hg_item" in task.data else None
        if isinstance(ours, str) and ours:
            self.rebased |= task.text is None and ours.startswith("/")
            ours = safe_name(task, ours, root)
            self._plain.add(ours)
            self._qualified.add(ours)
        else:
            self._plain.add(name_of(task, root, qualified=False))
            self._qualified.add(name_of(task, root, qualified=True))

    def needs_host(self, path: Path) -> bool:
        """Whether names of images keep their host, because without it two are the same."""
        if self._plain.repeated() is None:
            return False
        if pair := self._qualified.repeated():
            raise BadInputError(
                f"{path}: tasks {pair[0] + 1} and {pair[1] + 1} are the same item (importing tasks again"
                " makes them twice); delete one of them in Label Studio, or give each its own hg_id."
            )
        return True

    def header(self) -> Header:
        """The header that we wrote, and the classes in use that it lacks, by name."""
        if not self._headers:
            return Header([Category(name) for name in sorted(self._labels)], layout={FORMAT.name: _NO_HEADER})
        header = self._headers[0]
        for other in self._headers[1:]:
            known = {one.name for one in header.categories}
            ids = {one.id for one in header.categories}
            for one in other.categories:
                if one.name not in known:
                    one.id = None if one.id in ids else one.id
                    header.categories.append(one)
        known = set(distinct_names(header.categories))
        header.categories += [Category(name) for name in sorted(self._labels - known)]
        return header


def _refuse_turned(task: Any, options: Options) -> None:
    for one in task.regions:
        if one.region.get("image_rotation") and one.kind is not None and not options.allow_lossy:
            raise BadInputError(
                f"{one.where}: the image was turned in the editor (image_rotation), and the export does not"
                " say for certain which way its percents count; turn the image file itself and label it"
                " again, or leave such regions out with --allow-lossy."
            )


def _line(task: dict[str, Any], item: Item) -> bytes:
    try:
        text = json.dumps(task, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInputError(f"item {shown(item.name)} cannot be written: {error}.") from None


FORMAT = LabelStudio()
