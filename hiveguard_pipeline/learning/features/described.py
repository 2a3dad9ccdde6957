"""Which source of features serves a description.

A description is a JSON object: `kind` and what else the source must know to make the same features again;
it stands with each model. Where files lie is no part of it: that is the dataset's setting.
"""

from collections.abc import Mapping
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.features.source import FeatureSource


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
