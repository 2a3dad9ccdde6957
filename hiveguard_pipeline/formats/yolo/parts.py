"""What a YOLO data set says of itself, whichever way it says it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Key of data.yaml -> split of the model."""
UNSPLIT = "unsplit"
"""A key of data.yaml, known to this project only, for images that have no split where others have one."""


@dataclass(frozen=True, slots=True)
class Part:
    """A folder of images or a list of them; path: relative to the root, with forward slashes."""

    path: str
    split: str | None
    is_list: bool


@dataclass(slots=True)
class Description:
    """file: where it was said. keypoints: how many and how many numbers each, in rows of poses."""

    root: Path
    file: Path
    names: list[str]
    parts: list[Part]
    obb: bool = False
    keypoints: tuple[int, int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    rebased: bool = False
