"""What a source of features is, and which one serves a description of features.

A description is a JSON object: `kind` and what else the source must know to make the same features again;
it stands with each model. Where files lie is no part of it: that is the dataset's setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.arithmetic import Integers

NO_TEXT = "no_text"
NO_VECTOR = "no_vector"


@dataclass(frozen=True, slots=True)
class Items:
    """Items to make features of: lists of equal length. content: the text, None where none is recorded."""

    item_ids: list[str]
    external_ids: list[str]
    data_refs: list[str]
    contents: list[str | None]

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(slots=True)
class Features:
    """Features of those items that have some.

    rows: a matrix of shape (n, d), dense float32 or sparse CSR, or a list of n texts. positions: of these
    rows in the items that were asked for, ascending, shape (n,). faults: why the others have none, counted.
    """

    rows: Any
    positions: Integers
    faults: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)


class FeatureSource(Protocol):
    """Makes features of items; missing and broken files are counted, never an error."""

    @property
    def description(self) -> dict[str, Any]:
        """What `source_of` needs to make the same features again."""

    def make(self, items: Items) -> Features:
        """The features of some items, at most some thousand at a time."""


def source_of(
    description: Mapping[str, Any], *, image_dir: str | None = None, embeddings: str | None = None
) -> FeatureSource:
    """The source that makes features as described.

    image_dir: the root that files of items lie below (a folder or fsspec URL). embeddings: the user's file
    of vectors. Raises BadInputError where the source needs one that is not set.
    """
    kind = description.get("kind")
    if kind in ("texts", "ngrams"):
        from hiveguard_pipeline.learning.features.texts import Ngrams, Texts

        return Texts(image_dir) if kind == "texts" else Ngrams(image_dir, int(description["buckets"]))
    if kind == "pixels":
        from hiveguard_pipeline.learning.features.pixels import Pixels

        if image_dir is None:
            raise BadInputError(
                "pixels need image_dir, the folder or URL that the images lie below: `hiveguard active"
                " settings --dataset D image_dir=...`; or set embeddings, a file of vectors"
            )
        return Pixels(
            image_dir,
            size=int(description["size"]),
            channels=int(description["channels"]),
            layout=str(description["layout"]),
        )
    if kind == "embeddings":
        from hiveguard_pipeline.learning.features.embeddings import Embeddings

        if embeddings is None:
            raise BadInputError(
                "there are no embeddings: `hiveguard active settings --dataset D embeddings=FILE` names a"
                " .npy, .parquet or .csv file of vectors"
            )
        return Embeddings(embeddings)
    raise BadInputError(f"{kind!r} is no kind of features; there are texts, ngrams, pixels, embeddings")


def stacked(parts: list[Any]) -> Any:
    """Rows of several batches as one: texts, sparse or dense, as they are."""
    if not parts:
        return np.empty((0, 0), dtype=np.float32)
    if isinstance(parts[0], list):
        return [text for part in parts for text in part]
    if hasattr(parts[0], "tocsr"):
        from scipy.sparse import vstack

        return vstack(parts, format="csr")
    return np.concatenate(parts)
