"""Structured answers from files: one form in the table, others in quarantine with a word; items' details."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake import VoteImport, import_items, import_votes
from hiveguard_pipeline.intake.annotations import import_annotations
from hiveguard_pipeline.intake.structured import LONGEST_STRUCTURED
from hiveguard_pipeline.review import correct
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from tests.store.voting import add_items, cast

CAR = {"label": "car", "bbox": [0, 0, 10, 10.5]}
ONE_FORM = '{"boxes":[{"bbox":[0.0,0.0,10.0,10.5],"label":"car"}]}'


@pytest.fixture
def boxes(database: Database) -> Dataset:
    return create_dataset(database, "boxes", Policy(), classes=("car", "dog"), task_type="bbox")


def rows_of(database: Database, query: str) -> list[Any]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def imported(database: Database, dataset: Dataset, folder: Path, rows: list[dict[str, Any]]) -> VoteImport:
    path = folder / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return import_votes(database, dataset.name, path)


def test_an_object_and_its_text_are_one_answer_and_come_once(
    database: Database, boxes: Dataset, tmp_path: Path
) -> None:
    add_items(database, boxes, "a")
    path = tmp_path / "votes.csv"
    text = json.dumps({"boxes": [CAR], "classes": []}).replace('"', '""')
    path.write_text(f'external_id,solver_id,answer\na,ann,"{text}"\n')
    assert import_votes(database, "boxes", path).accepted == 1
    rows = [{"external_id": "a", "solver_id": who, "answer": {"boxes": [CAR]}} for who in ("ann", "bob")]
    done = imported(database, boxes, tmp_path, rows)
    assert (done.accepted, done.already_known, done.quarantined) == (1, 1, 0)
    assert rows_of(database, "SELECT DISTINCT answer FROM votes") == [(ONE_FORM,)]


def test_a_vote_that_the_server_wrote_in_another_form_is_known(
    database: Database, boxes: Dataset, tmp_path: Path
) -> None:
    add_items(database, boxes, "a")
    cast(database, boxes, [("a", json.dumps({"boxes": [CAR]}, indent=1))])
    solver = rows_of(database, "SELECT solver_id FROM votes")[0][0]
    done = imported(
        database, boxes, tmp_path, [{"external_id": "a", "solver_id": solver, "answer": {"boxes": [CAR]}}]
    )
    assert (done.already_known, done.quarantined) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("rubbish", "malformed_answer"),
        ({"boxes": [{"label": "car", "bbox": [0, 0, -1, 1]}]}, "malformed_answer"),
        ({"boxes": [{"label": "car", "bbox": [0, 0, 0, 1]}]}, "malformed_answer"),
        ({"boxes": [{"label": "car", "bbox": [0, 0, 1, 0.0]}]}, "malformed_answer"),
        ({"spans": []}, "malformed_answer"),
        ({"classes": ["car"]}, "malformed_answer"),
        ('{"boxes": [], "boxes": []}', "malformed_answer"),
        ('{"boxes": [{"label": "cat", "label": "car", "bbox": [0, 0, 1, 1]}]}', "malformed_answer"),
        ({"boxes": [{"label": "cat", "bbox": [0, 0, 1, 1]}]}, "answer_not_in_classes"),
        ({"boxes": [{"label": "car", "bbox": [60, 0, 42, 1]}]}, "box_outside_image"),
        ({"boxes": [], "classes": ["car"] * 10_001}, "malformed_answer"),
        (" " * 3, "empty_answer"),
        ('{"boxes": []}' + " " * LONGEST_STRUCTURED, "too_long"),
    ],
)
def test_what_cannot_be_an_answer_goes_to_quarantine_with_a_word(
    database: Database, boxes: Dataset, tmp_path: Path, answer: Any, reason: str
) -> None:
    (tmp_path / "items.csv").write_text("external_id,data_ref,modality,width,height\na,a.jpg,image,100,50\n")
    import_items(database, "boxes", tmp_path / "items.csv")
    good = {
        "external_id": "a",
        "solver_id": "good",
        "answer": {"boxes": [{"label": "car", "bbox": [60, 0, 41, 1]}]},
    }
    rows = [{"external_id": "a", "solver_id": "bad", "answer": answer}, good]
    done = imported(database, boxes, tmp_path, rows)
    assert (done.accepted, done.reasons) == (1, {reason: 1})
    again = imported(database, boxes, tmp_path, rows)
    assert (again.accepted, again.already_known, again.quarantined) == (0, 2, 0)


def test_spans_are_held_against_the_text_in_code_points(database: Database, tmp_path: Path) -> None:
    spans = create_dataset(database, "spans", Policy(), task_type="ner")
    path = tmp_path / "items.jsonl"
    path.write_text(
        json.dumps({"external_id": "a", "data_ref": "a", "modality": "text", "text": "😀 Ada"}) + "\n"
    )
    import_items(database, "spans", path)
    rows = [
        {
            "external_id": "a",
            "solver_id": f"s{end}",
            "answer": {"spans": [{"start": 2, "end": end, "label": "PER"}]},
        }
        for end in (5, 6)
    ]
    assert imported(database, spans, tmp_path, rows).reasons == {"span_outside_text": 1}


def test_details_are_recorded_once_and_what_is_missing_is_filled_in(
    database: Database, boxes: Dataset, tmp_path: Path
) -> None:
    def take(header: str, *rows: str) -> tuple[int, int]:
        path = tmp_path / "items.csv"
        path.write_text("\n".join([f"external_id,data_ref,modality{header}", *rows]) + "\n")
        done = import_items(database, "boxes", path)
        return done.details_filled, done.details_kept

    assert take("", "a,a.jpg,image", "b,b.jpg,image") == (0, 0)
    assert take(",width,height,group", "a,a.jpg,image,640,480,", "b,b.jpg,image,,,g1") == (2, 0)
    assert take(",width,height,group", "a,a.jpg,image,640,480,", "b,b.jpg,image,,,g1") == (0, 0)
    assert take(",width,height,licence", "a,a.jpg,image,1,480,CC-BY", "b,b.jpg,image,,,") == (1, 1)
    recorded = (
        "SELECT external_id, width, height, content, group_key, licence FROM items NATURAL JOIN item_details"
    )
    assert rows_of(database, f"{recorded} ORDER BY external_id") == [
        ("a", 640, 480, None, None, "CC-BY"),
        ("b", None, None, None, "g1", None),
    ]
    for row in ("c,c.jpg,image,0,5,", "c,c.jpg,image,1.5,5,", "c,c.jpg,image,5,,"):
        with pytest.raises(BadInputError, match=r"line 2: a (width|height)"):
            take(",width,height,group", row)


def test_a_gold_label_is_checked_and_takes_its_one_form(
    database: Database, boxes: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "items.jsonl"
    row = {"external_id": "a", "data_ref": "a", "modality": "image", "width": "20", "height": "20"}
    for gold, why in (
        ({"boxes": [{"label": "cat", "bbox": [0, 0, 1, 1]}]}, "'cat', no class of boxes"),
        ({"boxes": [{"label": "car", "bbox": [0, 0, 1]}]}, r"line 1: the gold_label .*boxes\[0\]: bbox"),
        ({"boxes": [{"label": "car", "bbox": [0, 0, 30, 1]}]}, "outside its image of 20 x 20"),
    ):
        path.write_text(json.dumps(row | {"gold_label": gold}) + "\n")
        with pytest.raises(BadInputError, match=why):
            import_items(database, "boxes", path)
    path.write_text(json.dumps(row | {"gold_label": {"boxes": [CAR]}}) + "\n")
    import_items(database, "boxes", path)
    assert rows_of(database, "SELECT gold_label FROM items") == [(ONE_FORM,)]


def test_structured_datasets_take_what_fits_them_alone(database: Database, boxes: Dataset) -> None:
    for task, modality in (("ner", "image"), ("bbox", "text"), ("bbox", "audio")):
        with pytest.raises(BadInputError, match=f"{task} is for modality"):
            create_dataset(database, "other", Policy(), task_type=task, modality=modality)
    assert create_dataset(database, "one", Policy(), classes=("PER",), task_type="ner").modality == "text"
    assert create_dataset(database, "free", Policy(), task_type="anything").modality == "image"
    with pytest.raises(BadInputError, match="structured"):
        set_policy(database, "boxes", {"GRADUATION": "adaptive"}, actor="t", reason="t")


def test_coco_comes_in_as_gold_with_masks_crowds_and_sizes(
    database: Database, shared_cases: Path, tmp_path: Path
) -> None:
    create_dataset(database, "coco", Policy(), task_type="bbox")
    path = shared_cases / "tiny-coco" / "instances_val2017.json"
    done = import_annotations(database, "coco", path, "coco", as_gold=True, create_items=True)
    source = json.loads(path.read_text())
    assert (done.items, done.of_items.created) == (len(source["images"]), len(source["images"]))
    texts = rows_of(database, "SELECT gold_label FROM items WHERE gold_label IS NOT NULL")
    boxes = [box for (text,) in texts for box in json.loads(text)["boxes"]]
    assert len(boxes) == len(source["annotations"])
    assert {json.dumps(box["bbox"]) for box in boxes} == {
        json.dumps([float(side) for side in one["bbox"]]) for one in source["annotations"]
    }
    crowd = [box for box in boxes if box.get("attributes", {}).get("iscrowd")]
    assert [type(box["segmentation"]) for box in crowd] == [dict]
    sizes = dict(rows_of(database, "SELECT external_id, width FROM items NATURAL JOIN item_details"))
    assert sizes == {image["file_name"]: image["width"] for image in source["images"]}
    again = import_annotations(database, "coco", path, "coco", as_gold=True)
    assert (again.of_items.created, again.of_items.updated, again.of_items.made_gold) == (0, 0, 0)
    with pytest.raises(BadInputError, match="--solver"):
        import_annotations(database, "coco", path, "coco")


def test_a_correction_that_an_import_would_refuse_is_refused(
    database: Database, boxes: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "items.csv").write_text("external_id,data_ref,modality,width,height\na,a.jpg,image,100,50\n")
    import_items(database, "boxes", tmp_path / "items.csv")
    outside = json.dumps({"boxes": [{"label": "car", "bbox": [60, 0, 42, 1]}]})
    with pytest.raises(BadInputError, match=r"100 x 50 pixels \(box_outside_image\)"):
        correct(database, "a", outside, dataset_name="boxes", reviewer="ann", reason="looked")
