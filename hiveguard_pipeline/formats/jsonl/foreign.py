"""Lines of JSON that other tools write, as lines of ours: spans and classes of texts, boxes of images.

Known: Prodigy ({text, spans: [{start, end, label}], label, accept, answer}), doccano ({text, label:
[[start, end, label]]}, {text, entities: [{label, start_offset, end_offset}]}, {text, label: [class]}),
image folders of Hugging Face ({file_name, objects: {bbox, category}}), and plain {text, label} or
{image, label}. Keys that none of them has go into `extra`.
"""

from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.serialised import shown

_NAMES = ("name", "file_name", "image", "filename", "path", "key", "item")
_CLASSES = ("labels", "label", "category", "class", "accept", "cats")
_SPANS = ("spans", "entities", "label", "labels")
_NOT_ACCEPTED = ("reject", "ignore")


def labels_of(value: Any, where: str, found: set[str]) -> None:
    """Add the names of the classes in a line to `found`."""
    line = translated(value, 0, where)
    labels, annotations = line.get("labels"), line.get("annotations")
    for name in labels if isinstance(labels, list) else []:
        if isinstance(name, str):
            found.add(name)
    for annotation in annotations if isinstance(annotations, list) else []:
        if isinstance(annotation, dict) and isinstance(annotation.get("category"), str):
            found.add(annotation["category"])


def translated(value: Any, number: int, where: str) -> dict[str, Any]:
    """The JSON of our item for another tool's line; classes by name.

    number: the line's, which names a text that has no name. Raises BadInputError for what is no such line.
    """
    if not isinstance(value, dict):
        raise BadInputError(f"{where}: an object is wanted, not {shown(value)}.")
    if "annotations" in value and "name" in value:
        return value
    left = dict(value)
    item: dict[str, Any] = {}
    if isinstance(left.get("text"), str):
        item["text"] = left.pop("text")
    _take_name(left, item, number, where)
    if type(left.get("id")) in (int, str):
        item["id"] = left.pop("id")
    for key in ("width", "height", "split"):
        if key in left:
            item[key] = left.pop(key)
    if left.get("answer") in _NOT_ACCEPTED:
        # What a person did not accept is a suggestion, not a label.
        return {**item, "reviewed": left["answer"] == "reject", "extra": left}
    if left.get("answer") == "accept":
        item["reviewed"] = True
    item["annotations"] = _spans(left, where) + _objects(left, where)
    classes = _classes(left, where)
    if classes:
        item["labels"] = classes
    return {**item, "extra": left}


def _take_name(left: dict[str, Any], item: dict[str, Any], number: int, where: str) -> None:
    for key in _NAMES:
        if isinstance(left.get(key), str) and left[key]:
            item["name"] = left.pop(key)
            return
    if "text" not in item:
        raise BadInputError(f"{where}: neither a text nor a file name ({', '.join(_NAMES)}) is there.")
    item["name"] = str(left["id"]) if type(left.get("id")) in (int, str) and left["id"] != "" else f"{number}"


def _spans(left: dict[str, Any], where: str) -> list[dict[str, Any]]:
    for key in _SPANS:
        rows = left.get(key)
        if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict | list):
            continue
        del left[key]
        return [_span(row, f"{where}: {key}[{place}]") for place, row in enumerate(rows)]
    for key in ("spans", "entities"):
        if left.get(key) == []:
            del left[key]
    return []


def _span(row: Any, where: str) -> dict[str, Any]:
    if isinstance(row, list) and len(row) == 3:
        row = {"start": row[0], "end": row[1], "label": row[2]}
    if not isinstance(row, dict):
        raise BadInputError(f"{where}: start, end and label are wanted, not {shown(row)}.")
    row = dict(row)
    start = row.pop("start", row.pop("start_offset", None))
    end = row.pop("end", row.pop("end_offset", None))
    label = row.pop("label", None)
    if not isinstance(label, str) or type(start) is not int or type(end) is not int:
        raise BadInputError(f"{where}: start, end and label are wanted, not {shown(row)}.")
    annotation: dict[str, Any] = {"category": label, "span": [start, end], "extra": row}
    if type(row.get("id")) in (int, str):
        annotation["id"] = row.pop("id")
    return annotation


def _objects(left: dict[str, Any], where: str) -> list[dict[str, Any]]:
    objects = left.get("objects")
    if not isinstance(objects, dict):
        return []
    boxes, classes = objects.get("bbox"), objects.get("category", objects.get("categories"))
    if not isinstance(boxes, list) or not isinstance(classes, list) or len(boxes) != len(classes):
        raise BadInputError(f"{where}: objects: as many `bbox` as `category` are wanted.")
    if not all(isinstance(name, str) for name in classes):
        raise BadInputError(
            f"{where}: objects: category: names are wanted; numbers need the list of names they stand for."
        )
    del left["objects"]
    return [{"category": name, "bbox": box} for name, box in zip(classes, boxes, strict=True)]


def _classes(left: dict[str, Any], where: str) -> list[str]:
    for key in _CLASSES:
        found = left.get(key)
        if isinstance(found, str) and found:
            del left[key]
            return [found]
        if isinstance(found, dict) and key == "cats":
            del left[key]
            return [name for name, share in found.items() if isinstance(share, int | float) and share >= 0.5]
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            del left[key]
            return list(dict.fromkeys(found))
        first = found[0] if isinstance(found, list) else found
        if isinstance(first, int | float) and key != "cats":
            raise BadInputError(
                f"{where}: {key}: the name of a class is wanted; {shown(found)} needs the list it is a"
                " place in."
            )
    return []
