"""Items from files: a list that is right as a whole or refused as a whole; gold is given once."""

import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import export_labels
from hiveguard_pipeline.intake import import_items
from hiveguard_pipeline.intake.items import ItemImport
from hiveguard_pipeline.pool import sample
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import cast, ledger_of, letters, states

HEADER = "external_id,data_ref,modality,gold_label"


def taken(database: Database, dataset: Dataset, folder: Path, rows: list[str]) -> ItemImport:
    path = folder / "items.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    done = import_items(database, dataset.name, path)
    assert done.read == done.created + done.updated + done.unchanged
    return done


def items_of(database: Database, dataset: Dataset) -> dict[str, tuple[object, ...]]:
    query = (
        "SELECT external_id, item_id, data_ref, modality, gold_label FROM items"
        " WHERE dataset_id = :dataset ORDER BY external_id"
    )
    with database.read() as connection:
        rows = connection.execute(sa.text(query), {"dataset": dataset.dataset_id}).all()
    for row in rows:
        assert str(row.item_id) == item_uuid(dataset.name, row.external_id)
    return {row.external_id: tuple(row[2:]) for row in rows}


def exported(database: Database, dataset: Dataset) -> list[str]:
    stream = io.BytesIO()
    export_labels(database, stream, "jsonl", dataset_name=dataset.name)
    return sorted(json.loads(line)["data_ref"] for line in stream.getvalue().splitlines())


def test_items_are_made_with_the_id_that_their_name_gives(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    done = taken(
        database, dataset, tmp_path, ['01,"s3://b/a,1.png",image,', "猫,x,text,cat", " b ,y,audio, "]
    )
    assert (done.read, done.created, done.updated, done.unchanged) == (3, 3, 0, 0)
    assert items_of(database, dataset) == {
        " b ": ("y", "audio", None),
        "01": ("s3://b/a,1.png", "image", None),
        "猫": ("x", "text", "cat"),
    }


def test_jsonl_without_gold_labels_is_a_list_of_items_too(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"external_id": 7, "data_ref": "x", "modality": "text", "gold_label": null}\n')
    assert import_items(database, dataset.name, path).created == 1
    assert items_of(database, dataset) == {"7": ("x", "text", None)}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",x,image,", "external_id"),
        ("b,,image,", "data_ref"),
        ("b,x,,", "modality"),
        ("b,x,picture,", "modality"),
        ("b,x,image", "unreadable_row"),
        ("b,x,image,owl", "no class"),
        ("b\0,x,image,", "NUL"),
        ("a,y,image,", "twice"),
        ("b" * 513 + ",x,image,", "too long"),
    ],
)
def test_one_bad_row_refuses_the_file_with_its_line_and_reason(
    database: Database, tmp_path: Path, row: str, why: str
) -> None:
    dataset = create_dataset(database, "animals", Policy(), classes=("cat", "dog"))
    with pytest.raises(BadInputError, match=why) as refused:
        taken(database, dataset, tmp_path, ["a,x,image,cat", "", row, "c,x,image,"])
    assert "items.csv, line 4:" in str(refused.value)
    assert items_of(database, dataset) == {}


def test_a_refusal_names_several_bad_lines(database: Database, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="3 bad rows") as refused:
        taken(database, dataset, tmp_path, [",x,image,", "a,x,image,", "b,,image,", "c,x,film,"])
    assert "line 2" in str(refused.value)
    assert "line 4: no data_ref; line 5" in str(refused.value)


@pytest.mark.parametrize("missing", ["external_id", "data_ref", "modality"])
def test_a_file_without_a_column_is_refused(
    database: Database, dataset: Dataset, tmp_path: Path, missing: str
) -> None:
    path = tmp_path / "items.csv"
    path.write_text(HEADER.replace(missing, "other") + "\na,b,c,d\n")
    with pytest.raises(BadInputError, match=f"line 1: there is no column {missing}"):
        import_items(database, dataset.name, path)


def test_the_same_file_twice_changes_nothing(database: Database, dataset: Dataset, tmp_path: Path) -> None:
    rows = ["a,x,image,cat", "b,y,image,"]
    taken(database, dataset, tmp_path, rows)
    before = items_of(database, dataset)
    done = taken(database, dataset, tmp_path, rows)
    assert (done.created, done.updated, done.unchanged, done.made_gold) == (0, 0, 2, 0)
    assert items_of(database, dataset) == before


def test_what_is_there_gets_the_files_data_ref_and_modality_and_keeps_its_gold_label(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    taken(database, dataset, tmp_path, ["a,x,image,cat", "b,x,image,cat", "c,x,image,"])
    done = taken(database, dataset, tmp_path, ["a,y,image,dog", "b,x,text,", "c,x,image,", "d,x,image,"])
    assert (done.created, done.updated, done.unchanged, done.gold_kept) == (1, 2, 1, 1)
    assert items_of(database, dataset) == {
        "a": ("y", "image", "cat"),
        "b": ("x", "text", "cat"),
        "c": ("x", "image", None),
        "d": ("x", "image", None),
    }


def test_pictures_of_two_megabytes_may_stand_in_the_data_ref(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    pictures = [f"data:image/png;base64,{letter * 2_000_000}" for letter in "ABC"]
    path = tmp_path / "items.jsonl"
    rows = [{"external_id": p[-1], "data_ref": p, "modality": "image"} for p in pictures]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert import_items(database, dataset.name, path).created == 3
    cast(database, dataset, [vote for name in "ABC" for vote in letters(name, "xxx")])
    apply_votes(database, dataset.name, run_id="run")
    assert exported(database, dataset) == pictures


def test_an_item_that_becomes_gold_leaves_pool_and_exports_and_keeps_its_ledger(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    names = ["labelled", "flagged", "graduated", "new", "stays"]
    rows = [f"{name},{name},image," for name in names]
    taken(database, dataset, tmp_path, rows)
    votes = {"labelled": "xxxx", "flagged": "xxyyyyy", "graduated": "x" * 15, "new": "xy", "stays": "xxx"}
    cast(database, dataset, [vote for name, answers in votes.items() for vote in letters(name, answers)])
    apply_votes(database, dataset.name, run_id="run")
    assert states(database, dataset)["flagged"] == "needs_review"
    assert exported(database, dataset) == ["graduated", "labelled", "stays"]
    ledger = ledger_of(database, dataset)

    done = taken(database, dataset, tmp_path, [row + "y" for row in rows[:-1]] + [rows[-1]])
    assert (done.made_gold, done.updated, done.unchanged) == (4, 4, 1)
    assert states(database, dataset) == {**dict.fromkeys(names, "gold"), "stays": "in_revalidation"}
    cast(database, dataset, [vote for name in names for vote in letters(name, "xxxxxx")])
    apply_votes(database, dataset.name, run_id="run", everything=True)
    after = ledger_of(database, dataset)
    assert len(after.pop("stays")) > len(ledger.pop("stays"))
    assert after == ledger
    assert exported(database, dataset) == ["stays"]
    with database.read() as connection:
        assert [drawn.external_id for drawn in sample(connection, dataset, 10)] == ["stays"]
        flags = connection.execute(sa.text("SELECT count(*) FROM labels WHERE needs_review")).scalar_one()
    assert flags == 0
    assert verify(database, dataset.name).findings == []
