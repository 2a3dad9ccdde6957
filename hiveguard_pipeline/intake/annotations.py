"""Annotations of a training format into a dataset: each person's as a vote, or as gold labels.

The input is read whole into rows of items and votes; then they go the way of files of items and votes: the
same checks, the same quarantine, the same knowledge of what was received before.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import Options, open_format
from hiveguard_pipeline.formats.model import Item
from hiveguard_pipeline.intake.annotated import (
    Given,
    SeveralClassesError,
    answers_of,
    data_ref_of,
    external_id_of,
    licence_of,
)
from hiveguard_pipeline.intake.items import ItemImport, import_items
from hiveguard_pipeline.intake.votes import VoteImport, import_votes
from hiveguard_pipeline.rules.structured.answer import canonical
from hiveguard_pipeline.rules.structured.tasks import STRUCTURED_TASKS
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset

NOT_LABELLED = "items_without_annotation"
SEVERAL_CLASSES = "several_classes"


@dataclass(slots=True)
class AnnotationImport:
    """What became of a source. votes: None for gold labels, or where no one has said anything.

    items: read from the source. answers: one a person and item. notes: what gave no answer, by code, and
    what the reader of the format left aside.
    """

    items: int = 0
    answers: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    of_items: ItemImport = field(default_factory=ItemImport)
    votes: VoteImport | None = None


def import_annotations(
    database: Database,
    dataset_name: str,
    path: Path,
    source: str,
    *,
    solver: str | None = None,
    as_gold: bool = False,
    image_dir: Path | None = None,
    create_items: bool = False,
    report: Callable[[int], None] | None = None,
) -> AnnotationImport:
    """Import a file or folder of annotations in a format of `formats.FORMATS`.

    solver: who annotated, where the source does not say. as_gold: the annotations are the truth.
    create_items: make the items that are not there. Raises BadInputError, with file and place, for what
    cannot be read; then nothing was imported. What cannot be a vote goes into quarantine.
    """
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
    with tempfile.TemporaryDirectory(prefix="hiveguard-annotations-") as folder:
        rows = _Rows(dataset, path, solver, as_gold, Path(folder))
        done = rows.read(source, image_dir, report)
        try:
            if done.items:
                done.of_items = import_items(
                    database, dataset_name, rows.items, fill_only=True, create=create_items
                )
            if done.answers and not as_gold:
                done.votes = import_votes(database, dataset_name, rows.votes)
        except BadInputError as error:
            raise BadInputError(str(error).replace(folder, str(path.parent))) from None
    return done


class _Rows:
    """A source as two files of rows, each named as the source is, for the records of imports."""

    def __init__(self, dataset: Dataset, path: Path, solver: str | None, as_gold: bool, folder: Path) -> None:
        self._dataset, self._path, self._solver, self._as_gold = dataset, path, solver, as_gold
        self._part = STRUCTURED_TASKS.get(dataset.task_type)
        for name in ("items", "votes"):
            (folder / name).mkdir()
        self.items, self.votes = (folder / name / (path.name or "annotations") for name in ("items", "votes"))

    def read(
        self, source: str, image_dir: Path | None, report: Callable[[int], None] | None
    ) -> AnnotationImport:
        """Read the source and write its rows."""
        reading = open_format(source).read(self._path, Options(image_dir=image_dir))
        names = [category.name for category in reading.header.categories]
        done = AnnotationImport()
        seen: set[str] = set()
        with self.items.open("wb") as items, self.votes.open("wb") as votes:
            for read in reading.reads():
                item = read.item
                external_id = external_id_of(item)
                if external_id in seen:
                    raise BadInputError(f"{self._path}: two items are named {external_id!r}")
                seen.add(external_id)
                try:
                    answers = answers_of(item, names, self._part)
                    if not answers:
                        done.notes[NOT_LABELLED] += 1
                except SeveralClassesError:
                    answers = []
                    done.notes[SEVERAL_CLASSES] += 1
                gold = self._gold(external_id, answers) if self._as_gold else None
                licence = licence_of(item, reading.header)
                _write(items, _item_row(self._dataset, item, external_id, licence, gold))
                if not self._as_gold:
                    for given in answers:
                        _write(votes, self._vote_row(external_id, given))
                done.items += 1
                done.answers += len(answers)
                if report:
                    report(done.items)
        for losses in (reading.notes, reading.losses):
            done.notes.update({loss.code: loss.count for loss in losses.rows()})
        return done

    def _gold(self, external_id: str, answers: list[Given]) -> str | None:
        texts = {given.answer if self._part is None else canonical(given.answer) for given in answers}
        if len(texts) > 1:
            raise BadInputError(
                f"{self._path}: {external_id} has different annotations of {len(answers)} people, and gold is"
                " one truth; import them as votes, and their consensus is the label"
            )
        return next(iter(texts), None)

    def _vote_row(self, external_id: str, given: Given) -> dict[str, Any]:
        solver = given.solver or self._solver
        if solver is None:
            raise BadInputError(
                f"{self._path}: it does not say who annotated {external_id}; name them with --solver"
            )
        return {
            "external_id": external_id,
            "solver_id": solver,
            "answer": given.answer,
            "duration_ms": given.duration_ms,
            "created_at": given.created_at,
        }


def _item_row(
    dataset: Dataset, item: Item, external_id: str, licence: str | None, gold: str | None
) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "data_ref": data_ref_of(item),
        "modality": dataset.modality,
        "gold_label": gold,
        "width": item.width if item.width and item.height else None,
        "height": item.height if item.width and item.height else None,
        "text": item.text,
        "licence": licence,
    }


def _write(stream: BinaryIO, row: dict[str, Any]) -> None:
    """One line of JSON, all values texts: such files are read in columns."""
    said = {key: str(value) for key, value in row.items() if value is not None}
    stream.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")
