"""Items from a file: a list that is right as a whole, or refused as a whole.

An item that is there already gets the file's data_ref and modality; a gold label is given once and never
changed by an import. One that names a former class is read as the class that it means now. Size, text, group
and licence are recorded once: a file fills in what is missing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake import checks
from hiveguard_pipeline.intake.details import DETAILS, STAGED, details_of, take_details
from hiveguard_pipeline.intake.files import RowFile
from hiveguard_pipeline.intake.rows import Block
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import MODALITIES, Dataset, lock_dataset, now_text
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import checked_text

COLUMNS = ("external_id", "data_ref", "modality", "gold_label")
_SHOWN = 5


@dataclass(slots=True)
class ItemImport:
    """What became of a file's rows: items made, changed, as they were; and gold labels kept against it."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    made_gold: int = 0
    gold_kept: int = 0
    """Items whose gold label differs from the file's and was kept."""
    details_filled: int = 0
    details_kept: int = 0
    """Items of which a detail was recorded, and of which one differs from the file's and was kept."""


def import_items(
    database: Database, dataset_name: str, path: Path, *, fill_only: bool = False, create: bool = True
) -> ItemImport:
    """Import a CSV or JSONL file of items.

    Columns: external_id, data_ref, modality[, gold_label, width, height, text, group, licence]. fill_only:
    an item that is there keeps its data_ref and modality. create: make the items that are not there; their
    rows are passed over without it. Raises BadInputError, naming the lines, if any row cannot be taken;
    then nothing was imported.
    """
    with RowFile(path, (*COLUMNS, *DETAILS)) as file:
        for name in COLUMNS[:3]:
            if name not in file.columns:
                raise file.refuse(f"there is no column {name}; the columns are {', '.join(file.columns)}")
        with database.write() as connection:
            dataset = lock_dataset(connection, dataset_name)
            class_map = class_map_of(connection, dataset)
            connection.execute(
                sa.text(
                    "CREATE TEMPORARY TABLE staged (line bigint, external_id text, data_ref text,"
                    f" modality text, gold_label text, {STAGED})"
                )
            )
            read = 0
            for block in file.blocks():
                append(connection, "staged", _checked(block, dataset, class_map, file))
                read += len(block.line)
            result = _take(connection, dataset, file, fill_only, create)
            result.details_filled, result.details_kept = take_details(connection, dataset)
            result.read = read
            connection.execute(
                t.imports.insert().values(
                    dataset_id=dataset.dataset_id,
                    kind="items",
                    file_name=file.name,
                    file_sha256=file.sha256,
                    rows_read=read,
                    accepted=result.created + result.updated,
                    quarantined=0,
                    already_known=result.unchanged,
                    created_at=now_text(),
                )
            )
            connection.execute(sa.text("DROP TABLE staged"))
    return result


def insert_items(
    connection: sa.Connection,
    dataset: Dataset,
    external_id: Any,
    *,
    data_ref: Any,
    modality: Any,
    gold_label: Any = None,
) -> int:
    """Insert new items from columns, in item_id order, as they lie on SQLite; returns how many."""
    rows = len(external_id)
    ids = t.item_uuids(dataset.name, external_id.to_pylist())
    items = pa.table(
        {
            "item_id": pa.array(ids, type=pa.string()),
            "dataset_id": pa.repeat(pa.scalar(dataset.dataset_id), rows),
            "external_id": external_id,
            "data_ref": data_ref,
            "modality": modality,
            "gold_label": gold_label if gold_label is not None else pa.nulls(rows, pa.string()),
            "created_at": pa.repeat(pa.scalar(now_text()), rows),
        }
    ).sort_by("item_id")
    return append(connection, "items", dict(zip(items.column_names, items.columns, strict=True)))


def _checked(block: Block, dataset: Dataset, class_map: ClassMap, file: RowFile) -> dict[str, Any]:
    rows = len(block.line)
    value = {name: block.values.get(name, pa.nulls(rows, pa.string())) for name in COLUMNS}
    gold = pc.if_else(checks.is_blank(value["gold_label"]), pa.scalar(None, pa.string()), value["gold_label"])
    gold = class_map.of(gold)
    details, unusable = details_of(block)
    outside, unfit = pa.scalar(False), pa.nulls(rows, pa.string())
    if is_structured(dataset.task_type):
        gold, unfit = _structured_gold(dataset, gold, details)
    elif dataset.classes is not None:
        outside = pc.invert(pc.is_in(gold, value_set=pa.array([*dataset.classes, None], type=pa.string())))
    reason = checks.first_reason(
        block.reason,
        *((checks.has_nul(value[name]), "a NUL character") for name in COLUMNS),
        (checks.is_blank(value["external_id"]), "no external_id"),
        (checks.is_blank(value["data_ref"]), "no data_ref"),
        (
            pc.invert(pc.is_in(value["modality"], value_set=pa.array(MODALITIES))),
            f"a modality that is none of {', '.join(MODALITIES)}",
        ),
        (checks.too_long(value["external_id"], checks.LONGEST_KEY), "a too long external_id"),
        *unusable,
        (outside, f"a gold_label that is no class of {dataset.name}"),
    )
    reason = pc.coalesce(reason, unfit)
    bad = pc.is_valid(reason).to_numpy(False)
    if bad.any():
        lines = block.line[bad].tolist()
        reasons = reason.filter(pa.array(bad)).to_pylist()
        shown = "; ".join(
            f"line {line}: {why}" for line, why in zip(lines[1:_SHOWN], reasons[1:_SHOWN], strict=True)
        )
        raise file.refuse(f"{reasons[0]}" + (f" ({len(lines)} bad rows; {shown})" if shown else ""), lines[0])
    return {
        "line": block.line,
        "external_id": value["external_id"],
        "data_ref": value["data_ref"],
        "modality": value["modality"],
        "gold_label": gold,
        **details,
    }


def _structured_gold(dataset: Dataset, gold: Any, details: dict[str, Any]) -> tuple[Any, Any]:
    """Structured gold labels in their one form, and why one cannot be; shapes (rows,)."""
    forms: list[str | None] = [None] * len(gold)
    reasons: list[str | None] = [None] * len(gold)
    for row in np.flatnonzero(gold.is_valid().to_numpy(zero_copy_only=False)).tolist():
        width, height, text = (details[name][row].as_py() for name in ("width", "height", "content"))
        size = None if width is None or height is None else (width, height)
        length = None if text is None else len(text)
        try:
            forms[row] = checked_text(dataset, gold[row].as_py(), "the gold_label", size, length)
        except BadInputError as error:
            reasons[row] = str(error)
    return pa.array(forms, type=pa.string()), pa.array(reasons, type=pa.string())


def _take(
    connection: sa.Connection, dataset: Dataset, file: RowFile, fill_only: bool, create: bool
) -> ItemImport:
    names = {"dataset": dataset.dataset_id}
    key = sa.bindparam("dataset", type_=t.Uuid)

    def execute(query: str, **more: object) -> sa.CursorResult[Any]:
        return connection.execute(sa.text(query).bindparams(key), names | more)

    repeated = connection.execute(
        sa.text(
            "SELECT external_id, max(line) FROM staged GROUP BY external_id HAVING count(*) > 1"
            " ORDER BY 2 LIMIT 1"
        )
    ).first()
    if repeated:
        raise file.refuse(f"external_id {str(repeated[0])[:80]!r} stands there twice", int(repeated[1]))
    there = "FROM staged s JOIN items i ON i.dataset_id = :dataset AND i.external_id = s.external_id"
    result = ItemImport()
    known = execute(f"SELECT count(*) {there}").scalar_one()
    gold_now = "s.gold_label IS NOT NULL AND i.gold_label IS NULL"
    other = "" if fill_only else "i.data_ref <> s.data_ref OR i.modality <> s.modality OR "
    differs = f"({other}({gold_now}))"
    result.gold_kept = execute(f"SELECT count(*) {there} WHERE i.gold_label <> s.gold_label").scalar_one()
    result.made_gold = execute(f"SELECT count(*) {there} WHERE {gold_now}").scalar_one()
    result.updated = execute(f"SELECT count(*) {there} WHERE {differs}").scalar_one()
    result.unchanged = known - result.updated
    if result.updated:
        execute(
            f"UPDATE items SET {'' if fill_only else 'data_ref = s.data_ref, modality = s.modality, '}"
            "gold_label = coalesce(items.gold_label, s.gold_label) FROM staged s"
            " WHERE items.dataset_id = :dataset AND items.external_id = s.external_id"
        )
    if result.made_gold:
        execute(
            f"UPDATE labels SET state = '{STATES[State.GOLD]}', needs_review = false, updated_at = :now"
            f" WHERE dataset_id = :dataset AND state <> '{STATES[State.GOLD]}' AND EXISTS"
            " (SELECT 1 FROM items i WHERE i.item_id = labels.item_id AND i.gold_label IS NOT NULL)",
            now=now_text(),
        )
    result.created = _insert_new(connection, dataset) if create else 0
    return result


def _insert_new(connection: sa.Connection, dataset: Dataset) -> int:
    new = read_columns(
        connection,
        "SELECT s.external_id, s.data_ref, s.modality, s.gold_label FROM staged s"
        " LEFT JOIN items i ON i.dataset_id = :dataset AND i.external_id = s.external_id"
        " WHERE i.item_id IS NULL ORDER BY s.line",
        {"dataset": dataset.dataset_id},
        {"external_id": str, "data_ref": str, "modality": str, "gold_label": str},
    )
    if not len(new["external_id"]):
        return 0
    return insert_items(
        connection,
        dataset,
        new["external_id"],
        data_ref=new["data_ref"],
        modality=new["modality"],
        gold_label=new["gold_label"],
    )
