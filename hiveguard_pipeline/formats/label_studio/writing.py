"""An item as a task that a Label Studio server imports.

A task that came from a server is written as it was, but for what was changed since. Any other is made: what
it has no field for goes into `data.hg_item` and into each region's `meta`, which the server keeps, and from
which reading restores it.
"""

from dataclasses import replace
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.images.sizes import ImageFolder
from hiveguard_pipeline.formats.label_studio.references import reference_to
from hiveguard_pipeline.formats.label_studio.regions import region_of, with_aside
from hiveguard_pipeline.formats.label_studio.tasks import (
    HG_ID,
    HG_ITEM,
    RAW,
    Region,
    Task,
    item_of,
    task_of,
)
from hiveguard_pipeline.formats.model import Annotation, Item
from hiveguard_pipeline.formats.serialised import item_to_json, shown


class TaskWriter:
    """Makes tasks. labels: the names of the classes, no two alike."""

    def __init__(self, labels: list[str], options: Options) -> None:
        self._labels = labels
        self._places = {label: place for place, label in enumerate(labels)}
        self._options = options
        self._images = None if options.image_dir is None else ImageFolder(options.image_dir)

    def task(self, item: Item, number: int) -> dict[str, Any]:
        """The task of an item; number: its place, from 1."""
        raw = item.extra.get(RAW)
        if isinstance(raw, dict):
            try:
                task = task_of(raw, number, f"item {shown(item.name)}")
            except BadInputError:
                task = None  # it was edited beyond recognition: the item itself holds
            if task is not None and task.text == item.text:
                return self._as_it_was(task, item)
        return self._made(item)

    def _made(self, item: Item) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if item.text is not None:
            data["text"] = item.text
        if item.text is None or any(one.bbox is not None for one in item.annotations):
            data["image"] = reference_to(item.name, self._options.rebase_paths)
        size = self._size(item)
        results: dict[str | None, list[dict[str, Any]]] = {}
        for place, annotation in enumerate(item.annotations):
            results.setdefault(annotation.annotator, []).append(self._region(annotation, place, item, size))
        if item.labels:
            first = next(iter(results), None)
            results.setdefault(first, []).append(self._choices(item))
        if not results and item.reviewed:
            results[None] = []
        aside = item_to_json(item)
        for known in ("annotations", "text", "name", "labels"):
            aside.pop(known, None)
        data |= {HG_ID: item.name, HG_ITEM: {"item": aside, "regions": sum(map(len, results.values()))}}
        return {"data": data, "annotations": [{"result": result} for result in results.values()]}

    def _as_it_was(self, task: Task, item: Item) -> dict[str, Any]:
        """The task that the server gave, with the regions that were changed, added or removed since."""
        was = self._read(task, item.name)
        now = _by_region(item)
        then = _by_region(was)
        frames = [dict(frame) for frame in task.raw["annotations"]]
        raw_regions = {(one.frame, one.place): one for one in task.regions}
        choices_hold = item.labels == was.labels
        results: list[list[dict[str, Any]]] = [list(frame.get("result", [])) for frame in frames]
        for key, one in sorted(raw_regions.items(), reverse=True):
            if one.kind == "choices" and key not in then and not choices_hold:
                del results[key[0]][key[1]]
            elif key in then and (key in now or one.kind != "choices" or not choices_hold):
                results[key[0]][key[1] : key[1] + 1] = self._changed(
                    one, then[key], now.get(key, []), item, was
                )
        added = now.get(None, [])
        if not choices_hold and item.labels:
            target = next(
                (place for place, frame in enumerate(frames) if not frame.get("was_cancelled")), None
            )
            self._append(frames, results, target, self._choices(item))
        for place, annotation in enumerate(added):
            number = len(item.annotations) + place
            self._append(frames, results, None, self._region(annotation, number, item, self._size(item)))
        for frame, result in zip(frames, results, strict=True):
            if "result" in frame or result:
                frame["result"] = result
        written = {**task.raw, "annotations": frames}
        if _own(item) != _own(was):
            aside = item_to_json(item)
            for known in ("annotations", "text", "name", "labels"):
                aside.pop(known, None)
            aside["extra"] = {key: value for key, value in item.extra.items() if key != RAW}
            written["data"] = {
                **task.data,
                HG_ID: item.name,
                HG_ITEM: {"item": aside, "regions": sum(map(len, results))},
            }
        return written

    def _read(self, task: Task, name: str) -> Item:
        """What the task was read as; its name may have had to keep its host."""
        for qualified in (True, False):
            was = item_of(task, self._places, self._options.rebase_paths, qualified)
            if was.name == name:
                break
        return was

    def _changed(
        self, one: Region, then: list[Annotation], now: list[Annotation], item: Item, was: Item
    ) -> list[dict[str, Any]]:
        """What stands in the place of a region: itself, if its annotations are what it says."""
        if [_said(each) for each in then] == [_said(each) for each in now]:
            if then == now:
                return [one.region]
            return [with_aside(one.region, _unlinked(now[0]))] if len(now) == 1 else [one.region]
        size = (item.width, item.height) if item.width and item.height else (was.width, was.height)
        pixels = (size[0], size[1]) if size[0] and size[1] else None
        kept = {name: value for name, value in one.region.items() if name in ("id", "from_name", "to_name")}
        return [
            {**self._region(each, place, item, pixels), **(kept if len(now) == 1 else {})}
            for place, each in enumerate(now)
        ]

    def _append(
        self,
        frames: list[dict[str, Any]],
        results: list[list[dict[str, Any]]],
        target: int | None,
        region: dict[str, Any],
    ) -> None:
        if target is None:
            target = next((place for place, frame in enumerate(frames) if set(frame) == {"result"}), None)
        if target is None:
            frames.append({"result": []})
            results.append([])
            target = len(frames) - 1
        results[target].append(region)

    def _region(
        self, annotation: Annotation, place: int, item: Item, size: tuple[int, int] | None
    ) -> dict[str, Any]:
        label = self._labels[annotation.category]
        where = f"item {shown(item.name)}, annotation {place + 1}"
        return region_of(_unlinked(annotation), label, place, item, size, where)

    def _choices(self, item: Item) -> dict[str, Any]:
        return {
            "from_name": "choice",
            "to_name": "text" if item.text is not None else "image",
            "type": "choices",
            "value": {"choices": [self._labels[place] for place in item.labels]},
        }

    def _size(self, item: Item) -> tuple[int, int] | None:
        if item.width and item.height:
            return item.width, item.height
        return None if self._images is None else self._images.size(item.name)


def _by_region(item: Item) -> dict[tuple[int, int] | None, list[Annotation]]:
    """The annotations of an item by the region that they came from."""
    found: dict[tuple[int, int] | None, list[Annotation]] = {}
    for annotation in item.annotations:
        link = annotation.extra.get(RAW)
        key = tuple(link) if isinstance(link, list) and len(link) == 2 else None
        found.setdefault(key, []).append(annotation)
    return found


def _unlinked(annotation: Annotation) -> Annotation:
    if RAW not in annotation.extra:
        return annotation
    extra = {key: value for key, value in annotation.extra.items() if key != RAW}
    return replace(annotation, extra=extra)


def _said(annotation: Annotation) -> tuple[Any, ...]:
    """What a region says itself; ids and the like stand in its meta."""
    return (annotation.category, annotation.bbox, annotation.rotation, annotation.span)


def _own(item: Item) -> tuple[Any, ...]:
    extra = {key: value for key, value in item.extra.items() if key != RAW}
    return (item.name, item.id, item.width, item.height, item.split, item.reviewed, extra)
