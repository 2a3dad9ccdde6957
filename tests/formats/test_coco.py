"""COCO: what is read, and that all of it comes back."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.coco import FORMAT
from hiveguard_pipeline.formats.coco.area import area_of
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from tests.formats.any_model import EXTRA, models, read, write
from tests.formats.coco_documents import annotation, save, small, through

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", ["instances_val2017.json", "instances_train2017.json"])
def test_the_shared_documents_come_back_to_the_letter(shared_cases: Path, tmp_path: Path, name: str) -> None:
    given = json.loads((shared_cases / "tiny-coco" / name).read_text())
    assert json.dumps(through(tmp_path, given)) == json.dumps(given)


def test_the_largest_ids_that_are_read_are_written(tmp_path: Path) -> None:
    last = 2**63 - 1
    given = small(
        images=[{"id": last, "file_name": "a.jpg"}, {"id": -last, "file_name": "b.jpg"}],
        annotations=[annotation(last, last, category_id=last), annotation(-last, -last, category_id=-last)],
        categories=[{"id": last, "name": "a"}, {"id": -last, "name": "b"}],
    )
    assert through(tmp_path, given) == given


def test_no_id_is_given_beyond_64_bits(tmp_path: Path) -> None:
    last = 2**63 - 1
    for header, items, told in (
        (Header([]), [Item("a", id=last), Item("b")], "1 images have no id for COCO"),
        (Header([Category("a", last), Category("b")]), [], "for the categories without one"),
        (Header([Category("a", last + 1)]), [], f"category 'a': its id {last + 1}"),
    ):
        with pytest.raises(BadInputError, match=told):
            write(FORMAT, tmp_path / "a.json", header, items)
        (tmp_path / "a.json").unlink(missing_ok=True)


def test_fact_01_a_box_is_x_y_width_height_in_pixels_from_0(tmp_path: Path) -> None:
    _, items = read(FORMAT, save(tmp_path / "a.json", small()))
    assert items[0].annotations[0].bbox == (10.25, 20.5, 30.125, 40.1)
    assert repr(items[1].annotations[0].bbox) == "(1, 2.5, 3, 4)"


def test_fact_02_category_ids_are_names_that_are_kept(tmp_path: Path) -> None:
    reading, items = read(FORMAT, save(tmp_path / "a.json", small()))
    assert [category.id for category in reading.header.categories] == [90, 1]
    assert [one.category for item in items for one in item.annotations] == [1, 0, 1]
    assert through(tmp_path, small(), "yolo")["categories"] == small()["categories"]


def test_fact_02_two_categories_of_one_name_stay_two(tmp_path: Path) -> None:
    twins = [{"id": 90, "name": "cat"}, {"id": 1, "name": "cat"}]
    for formats in ([], ["yolo"], ["voc"], ["yolo", "voc"]):
        folder = tmp_path / "-".join(["to", *formats])
        folder.mkdir()
        given = small(categories=twins)
        assert through(folder, given, *formats) == given


@pytest.mark.parametrize("formats", [["yolo"], ["voc"], ["jsonl"]])
def test_fact_03_crowds_and_masks_are_kept_as_they_came(tmp_path: Path, formats: list[str]) -> None:
    masks: list[Any] = [
        {"counts": "PPYo1", "size": [50, 100]},
        [[1, 2, 3, 4, 5, 6.5], [7, 8, 9, 10, 11, 12]],
        [],
    ]
    given = small(annotations=[annotation(n, 2, segmentation=mask) for n, mask in enumerate(masks)])
    given["annotations"][0]["iscrowd"] = 1
    assert through(tmp_path, given, *formats) == given


def test_fact_04_area_is_kept_and_counted_only_where_it_is_missing(tmp_path: Path) -> None:
    without: list[dict[str, Any]] = [annotation(n, 2) for n in range(5)]
    for entry in without[1:]:
        del entry["area"]
    without[2]["segmentation"] = [[0, 0, 4, 0, 4, 3]]
    without[3]["segmentation"] = {"counts": [4, 6, 10], "size": [4, 5]}
    without[4]["area"] = None
    found = through(tmp_path, small(annotations=without))
    box = 30.125 * 40.1
    assert [one["area"] for one in found["annotations"]] == [1000.5, box, 6.0, 6, box]


def test_fact_04_the_area_of_a_compressed_mask_is_that_of_pycocotools() -> None:
    # What pycocotools 2.0.11 says of a disk, of all and of no pixels: encode(mask)["counts"], area(mask).
    for counts, area in (
        ("Qd07V16K4L4M2N2N2N2O0O2O0O2O000O2O000000000001N10001N101N101N2N2N2N3L4L5Jbg0", 949),
        ("0`_b4", 150000),
        ("PP3", 0),
    ):
        assert area_of(Annotation(0, segmentation={"counts": counts, "size": [48, 64]})) == area
    assert area_of(Annotation(0, bbox=(0, 0, 2, 3), segmentation={"counts": "o" * 90, "size": [1, 1]})) == 6


@pytest.mark.filterwarnings("error")
def test_an_area_too_large_to_be_held_is_that_of_the_box() -> None:
    corners = [1e308, 1e308, -1e308, 3, 4, 1e308]
    assert area_of(Annotation(0, bbox=(0, 0, 2, 3), segmentation=[corners])) == 6


def test_fact_05_missing_annotation_ids_are_given_and_none_stands_twice(tmp_path: Path) -> None:
    entries = [annotation(7, 2), annotation(None, 5), annotation(4, 5), annotation(0, 2)]
    del entries[1]["id"]
    found = through(tmp_path, small(annotations=entries))
    assert [one["id"] for one in found["annotations"]] == [7, 8, 4, 0]
    assert [one["image_id"] for one in found["annotations"]] == [2, 5, 5, 2]


def test_fact_06_images_without_annotations_survive(tmp_path: Path) -> None:
    for formats in ([], ["yolo"], ["voc"], ["yolo", "voc"], ["jsonl"]):
        folder = tmp_path / "-".join(["to", *formats])
        folder.mkdir()
        given = small(annotations=[])
        assert through(folder, given, *formats) == given


def test_fact_06_reviewed_and_empty_is_a_loss_that_is_told(tmp_path: Path) -> None:
    from hiveguard_pipeline.formats.features import FeatureCounter
    from hiveguard_pipeline.formats.losses import Losses

    losses = Losses()
    counter = FeatureCounter(Header([]), FORMAT.holds, losses)
    counter.count(Item("a.jpg", reviewed=True))
    counter.count(Item("b.jpg"))
    assert [(loss.code, loss.count, loss.example) for loss in losses.rows()] == [
        ("reviewed_dropped", 1, "a.jpg")
    ]


def test_fact_07_keys_that_are_not_known_go_through(tmp_path: Path) -> None:
    given = small(licenses=[{"id": 3, "name": "BY"}], videos=[{"id": 1}])
    given["annotations"][0] |= {
        "attributes": {"occluded": True},
        "score": 0.5,
        "keypoints": [1, 2, 2],
        "x": None,
    }
    given["images"][0] |= {"coco_url": "http://example.com/a", "date": None}
    for formats in ([], ["yolo"], ["voc", "yolo"], ["jsonl"]):
        folder = tmp_path / "-".join(["to", *formats])
        folder.mkdir()
        assert through(folder, given, *formats) == given


def test_fact_08_a_results_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    results = [{"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    with pytest.raises(BadInputError, match=r"results\.json: a bare list\. .*\"annotations\""):
        FORMAT.read(save(tmp_path / "results.json", results), Options())


def test_keys_and_annotations_may_stand_in_any_order(tmp_path: Path) -> None:
    given = small()
    for number in range(6):
        chance = random.Random(number)
        keys = list(given)
        chance.shuffle(keys)
        chance.shuffle(given["annotations"])
        mixed = {key: given[key] for key in keys}
        folder = tmp_path / str(number)
        folder.mkdir()
        for formats in ([], ["yolo"]):
            below = folder / "-".join(["to", *formats])
            below.mkdir()
            assert json.dumps(through(below, mixed, *formats)) == json.dumps(mixed)


def test_a_large_document_is_read_in_pieces_that_meet(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f'é"{{[{n}.jpg', "width": 9, "height": 9} for n in range(3000)]
    entries = [annotation(n, n * 7 % 3000, note='\\"]}' * (n % 5)) for n in range(9000)]
    given = small(images=images, annotations=entries)
    path = save(tmp_path / "a.json", json.dumps(given, indent=3))
    assert path.stat().st_size > 1 << 20
    _, items = read(FORMAT, path)
    found = [(one.id, item.id, one.extra) for item in items for one in item.annotations]
    assert sorted(found) == sorted((e["id"], e["image_id"], {"note": e["note"]}) for e in entries)
    assert [item.name for item in items] == [image["file_name"] for image in images]


def test_absolute_paths_are_rebased_both_ways(tmp_path: Path) -> None:
    given = small(images=[{"id": 1, "file_name": "/data/x/a.jpg"}], annotations=[])
    assert through(tmp_path, given, rebase_paths="/data")["images"][0]["file_name"] == "x/a.jpg"
    relative = small(images=[{"id": 1, "file_name": "x/a.jpg"}], annotations=[])
    below = tmp_path / "below"
    below.mkdir()
    assert through(below, relative, rebase_paths="/data")["images"][0]["file_name"] == "/data/x/a.jpg"


def test_rotated_boxes_are_written_as_their_envelope(tmp_path: Path) -> None:
    items = [Item("a.jpg", [Annotation(0, bbox=(10, 10, 4, 2), rotation=90)])]
    write(FORMAT, tmp_path / "a.json", Header([Category("cat")]), items)
    (entry,) = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert entry["bbox"] == pytest.approx([8, 10, 2, 4])


@MANY
@given(models(), EXTRA)
def test_what_coco_holds_comes_back(
    tmp_path_factory: pytest.TempPathFactory, model: tuple[Header, list[Item]], extra: dict[str, Any]
) -> None:
    header, items = model
    header.extra = extra
    for place, category in enumerate(header.categories):
        category.id = place * 3 + 1
    number = 0
    for place, item in enumerate(items):
        item.name, item.id, item.text, item.labels, item.split, item.reviewed = (
            f"{place}.jpg",
            place,
            None,
            (),
            None,
            None,
        )
        item.width = None if item.width == 0 else item.width
        item.height = None if item.height == 0 else item.height
        item.annotations = [one for one in item.annotations if one.bbox is not None]
        for one in item.annotations:
            number += 1
            one.span = one.rotation = one.annotator = None
            one.id, one.order, one.crowd, one.area = number, number - 1, bool(one.crowd), one.area or 0.0
    header.task_type = None
    path = tmp_path_factory.mktemp("coco") / "a.json"
    assert not write(FORMAT, path, header, items)
    reading, found = read(FORMAT, path)
    assert found == items
    reading.header.layout = {}
    assert reading.header == header
