"""Which features a dataset's items have here, and whom the weak model serves."""

from typing import Any

from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.learning.models.weak import buckets_of
from hiveguard_pipeline.learning.settings import ActiveSettings
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.datasets import Dataset

PIXELS = {"kind": "pixels", "size": 16, "channels": 3, "layout": "flat"}
"""768 numbers an image: enough to tell apart what looks different."""


class NotServedError(HiveGuardError):
    """The weak model does not serve this dataset, or not yet; the message says why and what to do."""


def refuse_structured_answers(dataset: Dataset) -> None:
    """Raise NotServedError where answers are boxes or spans."""
    if is_structured(dataset.task_type):
        raise NotServedError(
            f"the weak model takes answers that are one class of a list, and those of {dataset.name} are"
            f" {dataset.task_type}: score its items by a model of your own, and choose by the scores"
            " (`hiveguard active select --scores FILE`)"
        )


def own_features(dataset: Dataset, settings: ActiveSettings, classes: int) -> dict[str, Any]:
    """The description of the features that a dataset's items have without a model of the user's.

    Vectors of the user's where there are some, else n-grams of texts or pixels of images.
    """
    if settings.embeddings is not None:
        return {"kind": "embeddings"}
    if dataset.modality == "text":
        return {"kind": "ngrams", "buckets": buckets_of(classes)}
    if dataset.modality == "image" and settings.image_dir is not None:
        return dict(PIXELS)
    way = "image_dir=FOLDER_OR_URL or embeddings=FILE" if dataset.modality == "image" else "embeddings=FILE"
    raise NotServedError(
        f"{dataset.name} has no features yet: `hiveguard active settings --dataset {dataset.name} {way}`"
    )
