"""Tasks and predictions on their way out: what a server is sent, checked here since it takes anything."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.label_studio.regions import region_of
from hiveguard_pipeline.formats.model import Annotation, Item
from hiveguard_pipeline.labelstudio.regions import RegionFault, check_region
from hiveguard_pipeline.labelstudio.server import HG_ID
from hiveguard_pipeline.labelstudio.templates import Shape
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.structured.answer import read_given

NO_ADDRESS = "no_address"
UNSAFE_ADDRESS = "unsafe_address"
NO_TEXT = "no_text"
"""Why an item cannot be sent."""

_SCHEMES = frozenset({"http", "https", "s3", "gs", "azure-blob"})
"""Of addresses that a browser opens, or Label Studio from a storage that is connected to the project."""
_INLINE = {"image": "data:image/", "audio": "data:audio/"}


@dataclass(frozen=True, slots=True)
class Sent:
    """An item as it is to be sent. width, height: of the image in pixels, where they are known.

    answer: what a model proposes, None for nothing; probability in millionths.
    """

    item_id: str
    external_id: str
    data_ref: str
    modality: str
    content: str | None = None
    width: int | None = None
    height: int | None = None
    answer: str | None = None
    probability: int | None = None


class UnsentError(Exception):
    """An item that cannot be sent; its text is one of the reasons above."""


def task_data(item: Sent, media_root: str | None) -> dict[str, Any]:
    """The data of a task: our id, the owner's name for the item, and the thing itself.

    media_root: an address under which relative data_refs lie. Raises UnsentError.
    """
    shown = _text(item) if item.modality == "text" else _address(item, media_root)
    return {HG_ID: item.item_id, "external_id": item.external_id, item.modality: shown}


def prediction(item: Sent, shape: Shape, version: str) -> dict[str, Any] | None:
    """The prediction of a task that says what a model proposes; None for nothing or what cannot be shown.

    What cannot be shown is a proposal of a class that is no more, or of boxes on an image of unknown size.
    """
    if item.answer is None:
        return None
    try:
        # As JSON has it: that is what is read back.
        result = json.loads(json.dumps(proposed_regions(item, shape)))
        for region in result:
            check_region(region, shape, item.content if item.content is not None else item.data_ref)
    except (BadInputError, RegionFault):
        return None
    found: dict[str, Any] = {"model_version": version, "result": result}
    if item.probability is not None:
        found["score"] = item.probability / ONE
    return found


def proposed_regions(item: Sent, shape: Shape) -> list[dict[str, Any]]:
    """The regions that say an answer. Raises BadInputError for one that cannot be said."""
    assert item.answer is not None
    if shape.part is None:
        return [_choice(item.answer, shape)]
    answer = read_given(item.answer, shape.part)
    known = Item(item.item_id, text=_text(item) if shape.part == "spans" else None)
    marks: list[tuple[str, Annotation]] = [
        *((box.label, Annotation(0, bbox=box.bbox)) for box in answer.boxes or ()),
        *((span.label, Annotation(0, span=(span.start, span.end))) for span in answer.spans or ()),
    ]
    size = (item.width, item.height) if item.width and item.height else None
    return [
        region_of(annotation, label, place, known, size, f"item {item.external_id}")
        for place, (label, annotation) in enumerate(marks)
    ]


def _choice(label: str, shape: Shape) -> dict[str, Any]:
    return {
        "from_name": shape.from_name,
        "to_name": shape.to_name,
        "type": shape.kind,
        "value": {"choices": [label]},
    }


def _text(item: Sent) -> str:
    """The text of an item: its content, else its data_ref if that is no address."""
    text = item.content if item.content is not None else item.data_ref
    if not text.strip() or (item.content is None and "://" in text):
        raise UnsentError(NO_TEXT)
    return text


def _address(item: Sent, media_root: str | None) -> str:
    """Where a browser or the server finds an image or a sound."""
    reference = item.data_ref
    if reference.startswith(_INLINE[item.modality]) and "svg" not in reference[:32].lower():
        return reference
    try:
        parts = urlsplit(reference)
    except ValueError:
        raise UnsentError(UNSAFE_ADDRESS) from None
    if parts.scheme in _SCHEMES and parts.netloc:
        return reference
    if parts.scheme or reference.startswith("//") or any(ord(one) < 32 for one in reference):
        raise UnsentError(UNSAFE_ADDRESS)
    if reference.startswith("/data/"):
        return reference
    if media_root is None:
        raise UnsentError(NO_ADDRESS)
    if ".." in reference.split("/"):
        raise UnsentError(UNSAFE_ADDRESS)
    path = quote(reference.lstrip("/"))
    return media_root + path if media_root.endswith(("=", "/")) else f"{media_root}/{path}"


def checked_root(root: str | None) -> str | None:
    """The address under which relative data_refs lie; raises BadInputError for what is none."""
    if root is None:
        return None
    parts = urlsplit(root)
    if (parts.scheme in _SCHEMES and parts.netloc) or root.startswith("/data/"):
        return root
    raise BadInputError(
        f"--media-root {root}: an address is wanted, as https://media.example.com/photos,"
        " s3://bucket/photos or /data/local-files/?d=photos"
    )


def chunks_of(tasks: Sequence[dict[str, Any]], most: int, most_bytes: int) -> list[list[dict[str, Any]]]:
    """Tasks in order, in chunks of at most so many and, but for a single one, so many bytes of JSON."""
    chunks: list[list[dict[str, Any]]] = []
    size = most_bytes
    for task in tasks:
        own = len(json.dumps(task))
        if not chunks or len(chunks[-1]) == most or size + own > most_bytes:
            chunks.append([])
            size = 0
        chunks[-1].append(task)
        size += own
    return chunks
