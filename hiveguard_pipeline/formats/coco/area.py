"""The area of an annotation whose document gives none: of its mask, else of its box."""

from typing import Any

import numpy as np

from hiveguard_pipeline.formats.model import Annotation


def area_of(annotation: Annotation) -> float:
    """Square pixels. A mask that cannot be read counts as none; no box and no mask is 0."""
    try:
        with np.errstate(over="raise", invalid="raise"):
            area = _mask_area(annotation.segmentation) if annotation.segmentation else None
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError):
        area = None
    if area is not None:
        return area
    return annotation.bbox[2] * annotation.bbox[3] if annotation.bbox is not None else 0.0


def _mask_area(segmentation: Any) -> float | None:
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        runs = _runs(counts) if isinstance(counts, str) else counts
        return sum(int(run) for run in runs[1::2])
    return sum(_polygon_area(polygon) for polygon in segmentation)


def _polygon_area(polygon: list[float]) -> float:
    """The shoelace formula: half the absolute sum of cross products of neighbouring corners."""
    x, y = np.asarray(polygon, dtype=np.float64).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _runs(text: str) -> list[int]:
    """The run lengths of a compressed RLE.

    Five bits a character, least significant first, bit 6 says that more follow, bit 5 of the last is the
    sign; from the third run on it is the difference to the run before the last
    (rleFrString, https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c).
    """
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(text[at]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at += 1
            shift += 5
            if shift > 60:
                raise ValueError("a run of more than 2**60 pixels")
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
