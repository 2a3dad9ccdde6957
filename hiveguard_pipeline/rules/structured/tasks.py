"""Task types: which there are, of which modality, and which of them have structured answers."""

from hiveguard_pipeline.errors import BadInputError

STRUCTURED_TASKS = {"bbox": "boxes", "ner": "spans"}
"""Task type -> the part of an answer that it always has."""

MODALITY_OF = {
    "image_classification": "image",
    "text_classification": "text",
    "audio_classification": "audio",
    "bbox": "image",
    "ner": "text",
}
"""The task types that are known; any other name is one of classes, on items of any modality."""


def is_structured(task_type: str) -> bool:
    """Whether answers of a task type are structured; all others are names of classes, compared as texts."""
    return task_type in STRUCTURED_TASKS


def check_task(task_type: str, modality: str) -> None:
    """Raise BadInputError for boxes on anything but images, or spans of anything but text."""
    wanted = MODALITY_OF.get(task_type, modality)
    if is_structured(task_type) and wanted != modality:
        raise BadInputError(f"task type {task_type} is for modality {wanted}, not {modality}")
