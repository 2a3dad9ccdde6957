"""An item as the review queue and its own page show it: its data, label, what people answered, a proposal."""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.status import ItemStatus
from hiveguard_pipeline.web.pages.marks import ShownAnswer, shown_answer
from hiveguard_pipeline.web.pages.media import MOST_TEXT, Place, place_of, text_of

MOST_CHOICES = 9
"""Labels that have a key of their own."""

MOST_ANSWERS = 200
_MOST_DRAWN = 20
"""Answers that the card lists, with what they mark."""

_LONGEST_CHOICE = 50_000
"""Characters of an answer that can be chosen by its number."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, how many gave it, its share of all, and what it marks if it is a structured one."""

    text: str
    votes: int
    share: float
    marks: ShownAnswer | None


@dataclass(frozen=True, slots=True)
class ItemData:
    """What an item is about. text: of a text item, where it is known here; size: of an image, in pixels."""

    place: Place
    text: str | None
    size: tuple[int, int] | None

    def cut(self) -> "ItemData":
        """As a page shows it: of a long text its beginning."""
        return self if self.text is None else replace(self, text=self.text[:MOST_TEXT])


@dataclass(frozen=True, slots=True)
class Shown:
    """An item with all that a person needs to decide.

    label: what it marks, for a structured one. choices: labels to choose from by number. proposal: (answer,
    probability in millionths, what it marks) of a model under the classes of now; a blind one is shown to
    nobody. stage: of the workflow, in which it waits for people.
    """

    item: ItemStatus
    data: ItemData
    label: ShownAnswer | None
    answers: list[Answered]
    votes: int
    choices: list[str]
    proposal: tuple[str, int, ShownAnswer | None] | None
    structured: bool
    stage: str | None


def shown(connection: sa.Connection, settings: Settings, dataset: Dataset, item: ItemStatus) -> Shown:
    """An item, read by its indexes."""
    data = data_of(connection, settings, dataset, item)
    structured = is_structured(dataset.task_type)

    def marks(answer: str | None) -> ShownAnswer | None:
        return shown_answer(answer, data.size, data.text) if structured and answer is not None else None

    tally, total = _tally(connection, dataset, item)
    answers = [
        Answered(answer, votes, votes / total, marks(answer) if place < _MOST_DRAWN else None)
        for place, (answer, votes) in enumerate(tally[:MOST_ANSWERS])
    ]
    proposed = connection.execute(
        sa.select(t.prelabels.c.answer, t.prelabels.c.probability)
        .join(t.models, t.models.c.model_id == t.prelabels.c.model_id)
        .where(
            t.prelabels.c.item_id == item.item_id,
            t.prelabels.c.blind.is_(False),
            t.models.c.schema_version == dataset.schema_version,
        )
    ).first()
    stage = connection.execute(
        sa.select(t.item_stages.c.stage).where(t.item_stages.c.item_id == item.item_id)
    ).scalar()
    return Shown(
        item=item,
        data=data.cut(),
        label=marks(item.label),
        answers=answers,
        votes=total,
        choices=list(dataset.classes)[:MOST_CHOICES]
        if dataset.classes is not None and not structured
        else [answer for answer, _ in tally if len(answer) <= _LONGEST_CHOICE][:MOST_CHOICES],
        proposal=(proposed.answer, proposed.probability, marks(proposed.answer)) if proposed else None,
        structured=structured,
        stage=stage,
    )


def data_of(connection: sa.Connection, settings: Settings, dataset: Dataset, item: ItemStatus) -> ItemData:
    """What an item is about, whole, and nothing that anybody said of it."""
    details = connection.execute(
        sa.select(t.item_details.c.width, t.item_details.c.height, t.item_details.c.content).where(
            t.item_details.c.item_id == item.item_id
        )
    ).first()
    size = (details.width, details.height) if details and details.width and details.height else None
    lies = place_of(settings, item.data_ref, f"/ui/datasets/{dataset.name}/items/{item.item_id}/data")
    text = details.content if details and details.content is not None else None
    if text is None and item.modality == "text" and lies.is_file:
        text = text_of(settings, item.data_ref)
    return ItemData(lies, text, size)


def _tally(
    connection: sa.Connection, dataset: Dataset, item: ItemStatus
) -> tuple[list[tuple[str, int]], int]:
    """Answers as they are meant now, most given first, then by text, with their votes; and all votes.

    Votes that do not count are left out; of very many answers those given least, too.
    """
    only = counted(connection, dataset)
    values: dict[str, Any] = {"item": item.item_id} | ({"dataset": dataset.dataset_id} if only else {})
    rows = connection.execute(
        sa.text(
            "SELECT v.answer, count(*), sum(count(*)) OVER () FROM votes v WHERE v.item_id = :item"
            f"{only} GROUP BY v.answer ORDER BY count(*) DESC, v.answer LIMIT 1000"
        ),
        values,
    ).all()
    class_map = class_map_of(connection, dataset)
    counts: dict[str, int] = {}
    for answer, votes, _ in rows:
        meant = class_map.of_one(answer) or answer
        counts[meant] = counts.get(meant, 0) + int(votes)
    found = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return found, int(rows[0][2]) if rows else 0
