"""What a result says: checked region by region, and as an answer. The same checks both ways.

The server takes a region of any name, type, label and place, so each is looked at here; the arithmetic of
percents and of UTF-16 offsets is that of `formats.label_studio`.
"""

import json
import math
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.geometry import upright
from hiveguard_pipeline.formats.label_studio.regions import annotations_of, kind_of, labels_of, size_of
from hiveguard_pipeline.labelstudio.templates import Shape

BAD_REGION = "label_studio_bad_region"
WRONG_CONTROL = "label_studio_wrong_control"
NO_CHOICE = "label_studio_no_choice"
SEVERAL_CLASSES = "label_studio_several_classes"
UNKNOWN_LABEL = "label_studio_unknown_label"
NO_SIZE = "label_studio_no_image_size"
BOX_OUTSIDE = "label_studio_box_outside"
NEGATIVE_SIZE = "label_studio_negative_size"
IMAGE_TURNED = "label_studio_image_turned"
BAD_SPAN = "label_studio_span_mismatch"
"""Why a result is no answer: reasons of the quarantine."""

ROTATION_DROPPED = "label_studio_rotation_dropped"
REGION_ASIDE = "label_studio_region_aside"
"""What was changed or left out of an answer that was taken."""

_PERCENT = 1e-6
"""How far beyond 0 and 100 a percent may lie by rounding."""
_SAYS_NOTHING = frozenset({"relation", "textarea", "rating", "number", "datetime", "pairwise", "ranker"})
"""Types of what people add beside their answer."""


class RegionFault(Exception):  # noqa: N818
    """A region that cannot be taken; its text is one of the reasons above."""


def answer_of(result: Any, shape: Shape, text: str | None) -> tuple[str, list[str]]:
    """The answer that a result says, and notes on what was left out of it.

    An answer is the name of a class, or the JSON of a structured answer, not yet in its one form; its
    classes are not judged here. text: of the item, in which spans lie. Raises RegionFault.
    """
    if not isinstance(result, list):
        raise RegionFault(BAD_REGION)
    notes: list[str] = []
    names: list[str] = []
    marks: list[dict[str, Any]] = []
    for region in result:
        if isinstance(region, dict) and region.get("type") in _SAYS_NOTHING:
            notes.append(REGION_ASIDE)
            continue
        check_region(region, shape, text, known_labels=False)
        if shape.part is None:
            names += labels_of(region)
        else:
            marks += _marks(region, shape, text, notes)
    if shape.part is not None:
        return json.dumps({shape.part: marks}, ensure_ascii=False), notes
    if len(set(names)) != 1:
        raise RegionFault(SEVERAL_CLASSES if names else NO_CHOICE)
    return names[0], notes


def check_region(region: Any, shape: Shape, text: str | None, *, known_labels: bool = True) -> None:
    """Raise RegionFault, with a reason above, for a region that does not fit the project.

    text: of the item. known_labels: its labels are to be classes of the project.
    """
    if not isinstance(region, dict) or not isinstance(region.get("value"), dict):
        raise RegionFault(BAD_REGION)
    said = (region.get("from_name"), region.get("to_name"), region.get("type"))
    if said != (shape.from_name, shape.to_name, shape.kind):
        raise RegionFault(WRONG_CONTROL)
    labels = labels_of(region)
    if not labels:
        raise RegionFault(NO_CHOICE if shape.part is None else BAD_REGION)
    if known_labels and not set(labels) <= set(shape.classes):
        raise RegionFault(UNKNOWN_LABEL)
    if kind_of(region) != {"boxes": "box", "spans": "span", None: "choices"}[shape.part]:
        raise RegionFault(BAD_REGION)
    if shape.part == "boxes":
        _check_box(region)
    elif shape.part == "spans":
        _read(region, "span", text, BAD_SPAN)


def _check_box(region: dict[str, Any]) -> None:
    if region.get("image_rotation"):
        raise RegionFault(IMAGE_TURNED)
    try:
        size_of(region, "")
    except BadInputError:
        raise RegionFault(NO_SIZE) from None
    value = region["value"]
    sides = [value[name] for name in ("x", "y", "width", "height")]
    if not all(type(side) in (int, float) and math.isfinite(side) for side in sides):
        raise RegionFault(BAD_REGION)
    x, y, width, height = sides
    if width <= 0 or height <= 0:
        raise RegionFault(NEGATIVE_SIZE)
    rotation = value.get("rotation") or 0
    if type(rotation) not in (int, float) or not math.isfinite(rotation):
        raise RegionFault(BAD_REGION)
    low, high = -_PERCENT, 100 + _PERCENT
    if x < low or y < low or x > high or y > high:
        raise RegionFault(BOX_OUTSIDE)
    if not rotation and (x + width > high or y + height > high):
        raise RegionFault(BOX_OUTSIDE)


def _marks(region: dict[str, Any], shape: Shape, text: str | None, notes: list[str]) -> list[dict[str, Any]]:
    """The boxes or spans that a region says, one for each of its labels."""
    labels = labels_of(region)
    if shape.part == "spans":
        found = _read(region, "span", text, BAD_SPAN)
        return [
            {"start": one.span[0], "end": one.span[1], "label": label}
            for label, one in zip(labels, found, strict=True)
        ]
    found = _read(region, "box", text, BAD_REGION)
    marks = []
    for label, one in zip(labels, found, strict=True):
        box = one.bbox
        if one.rotation:
            notes.append(ROTATION_DROPPED)
            box = _within(upright(box, one.rotation), *size_of(region, ""))
        marks.append({"label": label, "bbox": list(box)})
    return marks


def _within(box: tuple[float, float, float, float], width: int, height: int) -> tuple[float, ...]:
    """The part of a box that lies on the image; raises RegionFault where none does."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], float(width)), min(box[1] + box[3], float(height))
    if right <= left or bottom <= top:
        raise RegionFault(BOX_OUTSIDE)
    return left, top, right - left, bottom - top


def _read(region: dict[str, Any], kind: str, text: str | None, fault: str) -> list[Any]:
    try:
        return annotations_of(region, kind, {}, text, "")
    except BadInputError:
        raise RegionFault(fault) from None
