"""One region of a Label Studio result as annotations, and an annotation as a region.

https://labelstud.io/guide/task_format: places on an image are percents of its width and height, offsets of
texts are code points, half-open. What a region has no field for stands in its `meta`, under `hiveguard`.
"""

import math
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.geometry import envelope
from hiveguard_pipeline.formats.model import Annotation, Box, Item
from hiveguard_pipeline.formats.serialised import (
    LARGEST,
    annotation_from_json,
    annotation_to_json,
    shown,
)

META = "hiveguard"
_SAME_PERCENT = 1e-9
_KINDS = {"rectanglelabels", "polygonlabels", "labels", "choices"}
_BOX = ("x", "y", "width", "height")


def kind_of(region: dict[str, Any]) -> str | None:
    """box, polygon, span or choices; None for what the model has no place for."""
    value, kind = region.get("value"), region.get("type")
    if not isinstance(kind, str) or kind not in _KINDS or not isinstance(value, dict):
        return None
    if not labels_of(region):
        return None
    if kind == "choices":
        return None if "x" in value or "start" in value or "points" in value else "choices"
    if kind != "polygonlabels" and "x" in value and "y" in value and "width" in value and "height" in value:
        return "box"
    if kind != "rectanglelabels" and "points" in value:
        return "polygon"
    if kind == "labels" and type(value.get("start")) is int and type(value.get("end")) is int:
        # Sound has seconds, and a channel.
        return "span" if "channel" not in value else None
    return None


def labels_of(region: dict[str, Any]) -> list[str]:
    """The names of a region's classes; none where it has no list of texts."""
    value, kind = region.get("value"), region.get("type")
    if not isinstance(value, dict) or not isinstance(kind, str):
        return []
    found = value.get(kind, value.get("labels"))
    if not isinstance(found, list):
        return []
    if len(found) == 1:
        return found if type(found[0]) is str else []
    return list(dict.fromkeys(found)) if all(type(name) is str for name in found) else []


def size_of(region: dict[str, Any], where: str) -> tuple[int, int]:
    """Width and height of the image that a region lies on."""
    size = []
    for name in ("original_width", "original_height"):
        value = region.get(name)
        if type(value) is int and 0 < value < LARGEST:
            size.append(value)
            continue
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not 0 < value < LARGEST:
            raise BadInputError(
                f"{where}: {name} is {shown(value)}; percents need the size of the image in pixels, which"
                " Label Studio writes beside `value`."
            )
        size.append(value)
    return size[0], size[1]


def annotations_of(
    region: dict[str, Any], kind: str, places: dict[str, int], text: str | None, where: str
) -> list[Annotation]:
    """The annotations of a region, one for each of its classes. places: by the names of classes."""
    value = region["value"]
    read = Annotation(-1)
    if kind == "box":
        width, height = size_of(region, where)
        x, y, w, h = (_number(value.get(name), name, where) for name in _BOX)
        if w < 0 or h < 0:
            raise BadInputError(f"{where}: width {w} and height {h}: neither can be below 0.")
        if written_aside(region) is None and (x > 100 or y > 100 or x + w < 0 or y + h < 0):
            raise BadInputError(f"{where}: the box at {x}, {y} percent lies beside the image.")
        read.bbox = (x / 100 * width, y / 100 * height, w / 100 * width, h / 100 * height)
        read.rotation = _number(value.get("rotation") or 0, "rotation", where) or None
    elif kind == "polygon":
        width, height = size_of(region, where)
        points = _points(value["points"], width, height, where)
        read.segmentation = [[one for point in points for one in point]]
        read.bbox = envelope(points)
    elif kind == "span":
        read.span = _span(value, text, where)
    if read.bbox is not None and max(map(abs, read.bbox)) > LARGEST:
        raise BadInputError(f"{where}: a place beyond 2**31 pixels.")
    if region.get("score") is not None:
        read.score = _number(region["score"], "score", where)
    found = []
    for label in labels_of(region):
        read.category = places.get(label, -1)
        found.append(_restored(region, read, where))
    return found


def written_aside(region: dict[str, Any]) -> dict[str, Any] | None:
    """What we wrote into a region's meta, None where there is nothing."""
    meta = region.get("meta")
    aside = meta.get(META) if isinstance(meta, dict) else None
    return aside if isinstance(aside, dict) else None


def region_of(
    annotation: Annotation, label: str, number: int, item: Item, size: tuple[int, int] | None, where: str
) -> dict[str, Any]:
    """A region that says an annotation; size: the image's, for percents. number: its place in the item."""
    region: dict[str, Any] = {"id": f"hg{number}", "from_name": "label"}
    if annotation.span is not None and item.text is not None:
        start, end = annotation.span
        region |= {"to_name": "text", "type": "labels"}
        region["value"] = {"start": start, "end": end, "text": item.text[start:end], "labels": [label]}
    elif annotation.bbox is not None:
        if size is None:
            raise BadInputError(
                f"{where}: Label Studio holds boxes in percents, and the size of the image is not known;"
                " name the folder of the images with --image-dir."
            )
        region |= {"to_name": "image", "image_rotation": 0}
        region |= {"original_width": size[0], "original_height": size[1]}
        region |= _shape(annotation, annotation.bbox, label, size)
    else:
        region |= {"to_name": "text" if item.text is not None else "image", "type": "choices"}
        region["value"] = {"choices": [label]}
    if annotation.score is not None:
        region["score"] = annotation.score
    return with_aside(region, annotation)


def with_aside(region: dict[str, Any], annotation: Annotation) -> dict[str, Any]:
    """A region with the whole annotation in its meta."""
    aside = annotation_to_json(annotation)
    del aside["category"]
    meta = region.get("meta")
    return {**region, "meta": {**(meta if isinstance(meta, dict) else {}), META: aside}}


def _shape(annotation: Annotation, bbox: Box, label: str, size: tuple[int, int]) -> dict[str, Any]:
    polygons = annotation.segmentation
    if isinstance(polygons, list) and len(polygons) == 1 and _is_polygon(polygons[0]):
        xs, ys = polygons[0][::2], polygons[0][1::2]
        points = [[x / size[0] * 100, y / size[1] * 100] for x, y in zip(xs, ys, strict=False)]
        value = {"points": points, "closed": True, "polygonlabels": [label]}
        return {"type": "polygonlabels", "from_name": "polygon", "value": value}
    return {
        "type": "rectanglelabels",
        "value": {**_percents(bbox, annotation, size), "rectanglelabels": [label]},
    }


def _is_polygon(points: Any) -> bool:
    """Whether a mask is corners in pixels; JSON lines can hold anything there, which stays in the meta."""
    return (
        isinstance(points, list)
        and len(points) >= 6
        and all(type(one) in (int, float) and abs(one) <= LARGEST for one in points)
    )


def _percents(bbox: Box, annotation: Annotation, size: tuple[int, int]) -> dict[str, Any]:
    x, y, width, height = bbox
    return {
        "x": x / size[0] * 100,
        "y": y / size[1] * 100,
        "width": width / size[0] * 100,
        "height": height / size[1] * 100,
        "rotation": annotation.rotation or 0,
    }


def _restored(region: dict[str, Any], read: Annotation, where: str) -> Annotation:
    """What the region says, with what we wrote aside of it; its shape from there only if it is as it was."""
    new = Annotation(read.category, read.bbox, read.segmentation, read.rotation, read.span, score=read.score)
    aside = written_aside(region)
    if aside is None:
        return new
    old = annotation_from_json({**aside, "category": 0}, f"{where}: meta.{META}")
    old.category = read.category
    if not _is_as_written(region, old, read):
        old.bbox, old.segmentation, old.span = read.bbox, read.segmentation, read.span
        old.rotation, old.area = read.rotation, None
    old.score = read.score
    return old


def _is_as_written(region: dict[str, Any], old: Annotation, read: Annotation) -> bool:
    if read.span is not None:
        return old.span == read.span
    if read.bbox is None:
        return True
    if old.bbox is None:
        return False
    now = region["value"]
    try:
        then = _shape(old, old.bbox, "", (region["original_width"], region["original_height"]))["value"]
    except (TypeError, ValueError, KeyError):
        return False
    if "points" in now or "points" in then:
        flat_now = [one for point in now.get("points", []) for one in point]
        flat_then = [one for point in then.get("points", []) for one in point]
    else:
        names = (*_BOX, "rotation")
        flat_now, flat_then = [now.get(name) or 0 for name in names], [then[name] for name in names]
    return len(flat_now) == len(flat_then) and all(
        math.isclose(a, b, rel_tol=1e-12, abs_tol=_SAME_PERCENT)
        for a, b in zip(flat_now, flat_then, strict=True)
    )


def _points(points: Any, width: int, height: int, where: str) -> list[tuple[float, float]]:
    if not isinstance(points, list) or len(points) < 3:
        raise BadInputError(f"{where}: a polygon has three points or more.")
    found = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise BadInputError(f"{where}: points are pairs of numbers, not {shown(point)}.")
        x, y = (_number(one, "points", where) for one in point)
        found.append((x / 100 * width, y / 100 * height))
    return found


def _span(value: dict[str, Any], text: str | None, where: str) -> tuple[int, int]:
    """A span in code points; UTF-16 offsets of a browser are told by the text they give."""
    start, end = value["start"], value["end"]
    if text is None:
        raise BadInputError(f"{where}: a span, and the task has no text.")
    said = value.get("text")
    if 0 <= start <= end <= len(text):
        if not isinstance(said, str) or _is_said(text[start:end], said):
            return start, end
    elif not isinstance(said, str):
        raise BadInputError(f"{where}: {start} to {end} goes beyond the {len(text)} characters of the text.")
    units = text.encode("utf-16-le")
    if 0 <= start <= end <= len(units) // 2:
        try:
            before = units[: 2 * start].decode("utf-16-le")
            inside = units[2 * start : 2 * end].decode("utf-16-le")
        except UnicodeDecodeError:
            pass
        else:
            if _is_said(inside, said):
                return len(before), len(before) + len(inside)
    raise BadInputError(
        f"{where}: {start} to {end} is not {shown(said)} in the text, neither in characters nor in UTF-16"
        " units; correct the offsets or the text."
    )


def _is_said(found: str, said: str) -> bool:
    # Some versions write line ends of the quoted text as backslash and n.
    return found == said or found.replace("\n", "\\n") == said


def _number(value: Any, name: str, where: str) -> float:
    if (type(value) is int or (type(value) is float and math.isfinite(value))) and abs(value) < 1e300:
        return float(value)
    raise BadInputError(f"{where}: {name}: a number is wanted, not {shown(value)}.")
