"""Texts of items as they are, and as hashed n-grams: of words (1 and 2) and of characters (2 to 5).

Hashing needs no dictionary, so that the features of a text never change and nothing is kept between runs:
Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hiveguard_pipeline.learning.extras import needed
from hiveguard_pipeline.learning.features.files import UNREADABLE, ItemFiles
from hiveguard_pipeline.learning.features.source import NO_TEXT, Features, Items

MOST_CHARACTERS = 20_000
"""Of a longer text the beginning is seen."""

_MOST_BYTES = 4 << 20


class Texts:
    """The text of each item: what its import recorded, else its file below the root, if one is set."""

    def __init__(self, root: str | None) -> None:
        self._files = ItemFiles(root) if root is not None else None

    @property
    def description(self) -> dict[str, Any]:
        """Nothing but the kind."""
        return {"kind": "texts"}

    def make(self, items: Items) -> Features:
        """The texts as a list."""
        texts, positions, faults = [], [], dict[str, int]()
        for position, (text, fault) in enumerate(self._read(items)):
            if fault is None:
                texts.append(text)
                positions.append(position)
            else:
                faults[fault] = faults.get(fault, 0) + 1
        return Features(texts, np.array(positions, dtype=np.int64), faults)

    def _read(self, items: Items) -> Iterator[tuple[str, str | None]]:
        """Each item's text, and why there is none."""
        for content, data_ref in zip(items.contents, items.data_refs, strict=True):
            if content is not None:
                yield content[:MOST_CHARACTERS], None if content.strip() else NO_TEXT
            elif self._files is None:
                yield "", NO_TEXT
            else:
                data = self._files.read(data_ref, _MOST_BYTES)
                if isinstance(data, str):
                    yield "", data
                    continue
                try:
                    text = data.decode("utf-8-sig")[:MOST_CHARACTERS]
                except UnicodeDecodeError:
                    yield "", UNREADABLE
                    continue
                yield text, None if text.strip() else NO_TEXT


class Ngrams:
    """Hashed n-grams of the texts: a sparse matrix with 2 x buckets columns, each half of length 1 a row."""

    def __init__(self, root: str | None, buckets: int) -> None:
        text = needed("sklearn.feature_extraction.text")
        self._texts = Texts(root)
        self._buckets = buckets
        shared = {"n_features": buckets, "alternate_sign": True, "norm": "l2", "dtype": np.float32}
        words = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
        self._hashers = (
            text.HashingVectorizer(**words, **shared),
            text.HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), **shared),
        )

    @property
    def description(self) -> dict[str, Any]:
        """The kind, and how many buckets each half has."""
        return {"kind": "ngrams", "buckets": self._buckets}

    def make(self, items: Items) -> Features:
        """A CSR matrix, float32."""
        from scipy.sparse import hstack

        found = self._texts.make(items)
        if len(found):
            rows: Any = hstack([hasher.transform(found.rows) for hasher in self._hashers], format="csr")
        else:
            rows = np.empty((0, 2 * self._buckets), dtype=np.float32)
        return Features(rows, found.positions, found.faults)
