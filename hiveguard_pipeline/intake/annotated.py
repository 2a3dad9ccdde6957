"""An annotated item of a training format as the answers that people gave to it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hiveguard_pipeline.formats.model import Annotation, Header, Item

_TASK = "label_studio"
"""Under this name Label Studio's own task stands in an item's `extra`, and an annotation's place in it."""


@dataclass(frozen=True, slots=True)
class Given:
    """One person's answer to an item. solver: None where the source does not say. created_at: ISO 8601."""

    solver: str | None
    answer: str
    duration_ms: int | None = None
    created_at: str | None = None


class SeveralClassesError(Exception):
    """One person named several classes where an answer is one class."""


def answers_of(item: Item, names: Sequence[str], part: str | None) -> list[Given]:
    """What each person said of an item, nothing of an item that nobody is known to have looked at.

    names: of the categories. part: what structured answers of the task always have; None where an answer
    is one class. Raises SeveralClassesError.
    """
    task = item.extra.get(_TASK)
    if isinstance(task, dict) and isinstance(task.get("annotations"), list):
        return _of_frames(item, task["annotations"], names, part)
    by_person: dict[str | None, list[Annotation]] = {}
    for annotation in item.annotations:
        by_person.setdefault(annotation.annotator, []).append(annotation)
    if not by_person and (item.labels or item.reviewed):
        by_person[None] = []
    classes = [names[place] for place in item.labels]
    found = [(person, _answer(own, classes, names, part)) for person, own in by_person.items()]
    return [Given(person, answer) for person, answer in found if answer is not None]


def external_id_of(item: Item) -> str:
    """The name of an item: our own id, where Label Studio carries it; else its name in the source."""
    own = _data(item).get("hg_id")
    return str(own) if type(own) in (int, str) and own != "" else item.name


def data_ref_of(item: Item) -> str:
    """Where the item lies: the address that Label Studio or COCO has of it, else its name."""
    for value in (*_data(item).values(), item.extra.get("coco_url")):
        if isinstance(value, str) and value != item.name and value.endswith(item.name) and "://" in value:
            return value
    return item.name


def licence_of(item: Item, header: Header) -> str | None:
    """The name of an item's licence, where COCO's list of them has one."""
    number = item.extra.get("license")
    for licence in header.licences:
        if number is not None and licence.get("id") == number and isinstance(licence.get("name"), str):
            return str(licence["name"])
    return None


def _of_frames(
    item: Item, frames: list[dict[str, Any]], names: Sequence[str], part: str | None
) -> list[Given]:
    """The answers of a task of Label Studio: one of each annotation that was not cancelled."""
    found = []
    for number, frame in enumerate(frames):
        if frame.get("was_cancelled"):
            continue
        own = [one for one in item.annotations if (one.extra.get(_TASK) or [None])[0] == number]
        chose = any(isinstance(one, dict) and one.get("type") == "choices" for one in frame.get("result", []))
        classes = [names[place] for place in item.labels] if chose else []
        answer = _answer(own, classes, names, part)
        if answer is None:
            continue
        seconds = frame.get("lead_time")
        moment = frame.get("created_at")
        found.append(
            Given(
                _person(frame.get("completed_by")),
                answer,
                round(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 1e9 else None,
                moment if isinstance(moment, str) else None,
            )
        )
    return found


def _person(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("email", value.get("id"))
    return str(value) if type(value) in (int, str) else None


def _data(item: Item) -> dict[str, Any]:
    task = item.extra.get(_TASK)
    data = task.get("data") if isinstance(task, dict) else None
    return data if isinstance(data, dict) else {}


def _answer(
    annotations: list[Annotation], classes: list[str], names: Sequence[str], part: str | None
) -> str | None:
    boxes, spans, named = [], [], list(classes)
    for annotation in annotations:
        label = names[annotation.category]
        if annotation.span is not None:
            start, end = annotation.span
            spans.append({"start": start, "end": end, "label": label})
        elif annotation.bbox is not None:
            boxes.append(_box(annotation, label))
        else:
            named.append(label)
    named = list(dict.fromkeys(named))
    if part is None:
        if len(named) > 1:
            raise SeveralClassesError
        return named[0] if named else None
    said = {"boxes": boxes, "spans": spans, "classes": named}
    kept = {key: value for key, value in said.items() if value or key == part}
    return json.dumps(kept, ensure_ascii=False)


def _box(annotation: Annotation, label: str) -> dict[str, Any]:
    assert annotation.bbox is not None
    box: dict[str, Any] = {"label": label, "bbox": list(annotation.bbox)}
    if annotation.segmentation is not None:
        box["segmentation"] = annotation.segmentation
    attributes = {key: value for key, value in annotation.extra.items() if key != _TASK}
    if isinstance(attributes.get("attributes"), dict):
        attributes = {**attributes, **attributes.pop("attributes")}
    if annotation.crowd:
        attributes["iscrowd"] = 1
    if annotation.area is not None and annotation.area != annotation.bbox[2] * annotation.bbox[3]:
        attributes["area"] = annotation.area
    if annotation.rotation:
        attributes["rotation"] = annotation.rotation
    if attributes:
        box["attributes"] = attributes
    return box
