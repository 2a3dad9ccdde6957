"""Labelling configs: what a project shows and asks, made of a dataset's task type and classes.

https://labelstud.io/tags/. The names of tags and of the data's keys are those that `formats.label_studio`
writes, so that its files fit these projects.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.tasks import STRUCTURED_TASKS
from hiveguard_pipeline.store.datasets import Dataset

SHORTEST_TITLE = 3
"""Characters; the server takes no shorter title."""

_OBJECTS = {"image": "Image", "text": "Text", "audio": "Audio"}
_HOTKEYS = "123456789"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a project's regions look like.

    from_name, kind: the name of the control and the type of its regions. to_name: the name of what is
    labelled, which is also the key of the data that holds it. classes: the names that regions may use.
    part: of a structured answer, `boxes` or `spans`; None where an answer is one class.
    """

    from_name: str
    to_name: str
    kind: str
    classes: tuple[str, ...]
    part: str | None


def shape_of(dataset: Dataset) -> Shape:
    """The shape of a dataset's project; raises BadInputError for a dataset without classes."""
    if dataset.classes is None:
        raise BadInputError(
            f"{dataset.name} takes any answer, and a Label Studio project offers a list of classes: make a"
            " dataset with classes (`hiveguard datasets create NAME --classes a,b`)"
        )
    for name in dataset.classes:
        _check_class(name)
    part = STRUCTURED_TASKS.get(dataset.task_type)
    kind = {"boxes": "rectanglelabels", "spans": "labels", None: "choices"}[part]
    from_name = "choice" if part is None else "label"
    return Shape(from_name, dataset.modality, kind, dataset.classes, part)


def label_config(shape: Shape, *, hotkeys: bool = False) -> str:
    """The XML of a project's labelling config. hotkeys: keys 1 to 9 for the first classes."""
    view = ET.Element("View")
    seen = {"name": shape.to_name, "value": f"${shape.to_name}"}
    if shape.kind == "choices":
        ET.SubElement(view, _OBJECTS[shape.to_name], seen)
        control = ET.SubElement(
            view,
            "Choices",
            {"name": shape.from_name, "toName": shape.to_name, "choice": "single-radio", "required": "true"},
        )
        child = "Choice"
    elif shape.kind == "labels":
        control = ET.SubElement(view, "Labels", {"name": shape.from_name, "toName": shape.to_name})
        ET.SubElement(view, "Text", seen | {"granularity": "symbol"})
        child = "Label"
    else:
        ET.SubElement(view, "Image", seen | {"zoom": "true"})
        control = ET.SubElement(
            view, "RectangleLabels", {"name": shape.from_name, "toName": shape.to_name, "canRotate": "false"}
        )
        child = "Label"
    for place, name in enumerate(shape.classes):
        key = {"hotkey": _HOTKEYS[place]} if hotkeys and place < len(_HOTKEYS) else {}
        ET.SubElement(control, child, {"value": name} | key)
    return ET.tostring(view, encoding="unicode")


def title_of(dataset: Dataset) -> str:
    """The title of a dataset's project: its name, made longer where the server would refuse it."""
    return dataset.name if len(dataset.name) >= SHORTEST_TITLE else f"dataset {dataset.name}"


def instructions_of(guide: str) -> str:
    """A labelling guide as a project's instructions, which the server shows as HTML: the text as it is."""
    return "<br>\n".join(html.escape(line) for line in guide.strip().splitlines())


def same_config(first: str, second: str, shape: Shape) -> bool:
    """Whether two configs ask the same, however they are written: same control, same names in order."""
    return offered(first, shape) == offered(second, shape)


def offered(config: str, shape: Shape) -> Sequence[str] | None:
    """The classes that a project's config offers under our control; None where it has no such control."""
    from defusedxml.ElementTree import fromstring

    try:
        view = fromstring(config)
    except (ET.ParseError, ValueError):
        return None
    tag = {"choices": "Choices", "labels": "Labels", "rectanglelabels": "RectangleLabels"}[shape.kind]
    for control in view.iter(tag):
        if control.get("name") == shape.from_name and control.get("toName") == shape.to_name:
            return [child.get("value", "") for child in control]
    return None


def _check_class(name: str) -> None:
    if name.startswith("$"):
        raise BadInputError(
            f"class {name!r} cannot be shown in Label Studio, which takes a name with $ in front for a field"
            " of the task; rename it with `hiveguard classes rename`"
        )
    if _NO_XML.search(name):
        raise BadInputError(
            f"class {name!r} has a character that XML cannot hold; rename it with `hiveguard classes rename`"
        )
