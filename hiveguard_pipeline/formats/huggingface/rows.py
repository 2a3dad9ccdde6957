"""An item as a row of a Hugging Face dataset, and a row as an item."""

from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature
from hiveguard_pipeline.formats.images.geometry import upright
from hiveguard_pipeline.formats.json_text import json_line
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Item
from hiveguard_pipeline.formats.serialised import item_from_json, shown

_NAMES = ("name", "file_name", "image", "path", "image_path")
_TEXTS = ("text", "sentence")
_WHOLE = 1 << 63


def row_of(item: Item, names: list[str], losses: Losses) -> tuple[dict[str, Any], list[str | None]]:
    """A row, and for each annotation what it says there, None where it says nothing."""
    objects: list[dict[str, Any]] = []
    spans: list[dict[str, Any]] = []
    said: list[str | None] = []
    for place, one in enumerate(item.annotations):
        where = f"{item.name}, annotation {place + 1}"
        if not 0 <= one.category < len(names):
            # ClassLabel takes -1 and None for a class without a word.
            raise BadInputError(f"item {where}: {one.category} is no class of the header.")
        if one.span is not None:
            if one.bbox is not None:
                losses.add(Feature.BOXES.value, where)
            start, end = one.span
            spans.append(
                {"start": start, "end": end, "label": one.category, "id": _whole(one.id, where, losses)}
            )
            said.append(_span_text(spans[-1], names))
        elif one.bbox is not None:
            area = one.bbox[2] * one.bbox[3] if one.area is None else one.area
            objects.append(
                {
                    "bbox": [float(side) for side in upright(one.bbox, one.rotation)],
                    "category": one.category,
                    "area": float(area),
                    "id": _whole(one.id, where, losses),
                    "iscrowd": bool(one.crowd),
                }
            )
            said.append(_object_text(objects[-1], names))
        else:
            losses.add("placeless_annotations_dropped", where)
            said.append(None)
    for label in item.labels:
        if not 0 <= label < len(names):
            raise BadInputError(f"item {item.name}: {label} is no class of the header.")
    return {
        "name": item.name,
        "id": _whole(item.id, item.name, losses, Feature.IMAGE_IDS),
        "width": item.width,
        "height": item.height,
        "text": item.text,
        "labels": list(item.labels),
        "objects": objects,
        "spans": spans,
    }, said


def item_of(row: dict[str, Any], split: str, number: int, classes: int, where: str) -> Item:
    """The item of a row, checked as a line of JSON is. number: the row's, which names one without a name."""
    left = dict(row)
    item: dict[str, Any] = {"name": f"{split}/{number}", "split": split if split in _SPLITS else None}
    for key in _NAMES:
        value = left.get(key)
        path = value.get("path") if isinstance(value, dict) else value
        if isinstance(path, str) and path:
            item["name"] = path
            del left[key]
            break
    for key in _TEXTS:
        if isinstance(left.get(key), str):
            item["text"] = left.pop(key)
            break
    for key in ("id", "width", "height"):
        if isinstance(left.get(key), int | str):
            item[key] = left.pop(key)
    item["labels"] = _labels(left, where)
    item["annotations"] = [
        *(_object(one, where) for one in _structs(left.pop("objects", None), f"{where}: objects")),
        *(_span(one, where) for one in _structs(left.pop("spans", None), f"{where}: spans")),
    ]
    left = {key: value for key, value in left.items() if value is not None}
    try:
        json_line(left)
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{where}: a column that is no text or number: {error}.") from None
    found = item_from_json({**item, "extra": left}, where, classes)
    if found.text is not None:
        for one in found.annotations:
            if one.span is not None and one.span[1] > len(found.text):
                raise BadInputError(f"{where}: the span {list(one.span)} goes beyond the text.")
    return found


def rows_of(row: dict[str, Any], names: list[str]) -> list[str]:
    """What a row says of each of its annotations, as `row_of` gives it."""
    return [
        *(_object_text(one, names) for one in _structs(row.get("objects"), "objects")),
        *(_span_text(one, names) for one in _structs(row.get("spans"), "spans")),
    ]


def about_of(row: dict[str, Any], names: list[str]) -> str:
    """What a row says of the item itself."""
    labels = sorted(names[place] for place in _labels(dict(row), "row") if 0 <= place < len(names))
    said = [row.get(key) for key in ("name", "id", "width", "height", "text")]
    return json_line([*(one if isinstance(one, int | str) else None for one in said), labels]).decode()


_SPLITS = ("train", "validation", "test")


def _whole(value: Any, where: str, losses: Losses, feature: Feature = Feature.ANNOTATION_IDS) -> int | None:
    if value is None or (type(value) is int and -_WHOLE <= value < _WHOLE):
        return value
    losses.add(feature.value, where)
    return None


def _object_text(one: dict[str, Any], names: list[str]) -> str:
    said = [_name(one.get("category"), names), one.get("bbox"), one.get("area"), one.get("id")]
    return f"object {[*said, bool(one.get('iscrowd'))]}"


def _span_text(one: dict[str, Any], names: list[str]) -> str:
    return f"span {[_name(one.get('label'), names), one.get('start'), one.get('end'), one.get('id')]}"


def _name(place: Any, names: list[str]) -> str:
    return names[place] if type(place) is int and 0 <= place < len(names) else repr(place)


def _labels(left: dict[str, Any], where: str) -> list[int]:
    """Places of the classes of a row; -1 is Hugging Face's way to say that there is none."""
    several, one = left.pop("labels", None), left.pop("label", None)
    if several is None:
        several = [] if one is None else [one]
    if type(several) is int:
        several = [several]
    if not isinstance(several, list):
        raise BadInputError(f"{where}: labels: numbers of classes are wanted, not {shown(several)}.")
    return [place for place in several if place != -1]


def _structs(value: Any, where: str) -> list[dict[str, Any]]:
    """A list of structs; older datasets have a struct of lists."""
    if value is None:
        return []
    if isinstance(value, dict) and all(isinstance(one, list) for one in value.values()):
        if len({len(one) for one in value.values()}) > 1:
            raise BadInputError(f"{where}: its lists differ in length.")
        return [dict(zip(value, each, strict=True)) for each in zip(*value.values(), strict=True)]
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    raise BadInputError(f"{where}: a list of structs is wanted, not {shown(value)}.")


def _object(one: dict[str, Any], where: str) -> dict[str, Any]:
    left = dict(one)
    found = {"category": _class(left.pop("category", left.pop("categories", None)), where)}
    for ours, theirs in (("bbox", "bbox"), ("area", "area"), ("id", "id"), ("crowd", "iscrowd")):
        if (value := left.pop(theirs, None)) is not None:
            found[ours] = value
    if type(found.get("crowd")) is int:
        found["crowd"] = bool(found["crowd"])
    if "bbox" not in found:
        raise BadInputError(f"{where}: an object without `bbox`.")
    return {**found, "extra": {key: value for key, value in left.items() if value is not None}}


def _span(one: dict[str, Any], where: str) -> dict[str, Any]:
    left = dict(one)
    found = {"category": _class(left.pop("label", None), where)}
    found["span"] = [left.pop("start", None), left.pop("end", None)]
    if (value := left.pop("id", None)) is not None:
        found["id"] = value
    return {**found, "extra": {key: value for key, value in left.items() if value is not None}}


def _class(value: Any, where: str) -> Any:
    if value is None or value == -1:
        raise BadInputError(f"{where}: an object or span with the class {value}, which names none.")
    return value
