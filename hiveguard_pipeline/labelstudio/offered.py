"""Annotations as rows of votes: what the intake is offered in the place of a file."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.intake.rows import Block


@dataclass(frozen=True, slots=True)
class Offer:
    """One annotation for the intake. reason: why it is no vote, None to have it judged. raw: as it came."""

    annotation_id: int
    item_id: str
    solver_id: str | None
    answer: str | None
    duration_ms: int | None
    created_at: str
    reason: str | None
    raw: str


class Offers:
    """Offers as a source of votes; their lines count from 1."""

    columns = ("item_id", "solver_id", "answer", "duration_ms", "created_at")

    def __init__(self, name: str, offers: list[Offer]) -> None:
        self.name = name
        self._offers = offers

    @property
    def sha256(self) -> str:
        """Hash of the annotations as they came."""
        return hashlib.sha256("\n".join(offer.raw for offer in self._offers).encode()).hexdigest()

    def blocks(self) -> Iterator[Block]:
        """All offers as one block."""

        def column(values: list[str | None]) -> pa.Array:
            return pa.array(values, type=pa.string())

        offers = self._offers
        yield Block(
            line=np.arange(1, len(offers) + 1, dtype=np.int64),
            row=column([offer.raw for offer in offers]),
            values={
                "item_id": column([offer.item_id for offer in offers]),
                "solver_id": column([offer.solver_id for offer in offers]),
                "answer": column([offer.answer for offer in offers]),
                "duration_ms": column(
                    [None if offer.duration_ms is None else str(offer.duration_ms) for offer in offers]
                ),
                "created_at": column([offer.created_at for offer in offers]),
            },
            reason=column([offer.reason for offer in offers]),
        )
