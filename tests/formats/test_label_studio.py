"""Label Studio: facts 25 to 33 of the checklist, real exports, and the way back into a server."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import jsonl
from hiveguard_pipeline.formats.convert import FormatConverter
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.label_studio import FORMAT
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item

from .any_model import models, read, write
from .coco_documents import convert

EXPORTS = (
    "bbox_two_annotators.JSON.txt",
    "lsx_bbox.json",
    "lsx_image_classification.json",
    "lsx_ner.json",
    "lsx_text_classification.json",
    "ner.JSON.txt",
    "ner_emoji_parent_prediction.json",
)


@pytest.fixture(scope="session")
def exports() -> Path:
    """Exports of a real server, not part of this project."""
    shared = Path(os.environ.get("HIVEGUARD_SHARED", Path(__file__).parents[3] / "shared")).absolute()
    folder = shared / "cases" / "label-studio"
    if not folder.is_dir():
        pytest.skip("the shared Label Studio exports are not there")
    return folder


def box(label: str = "car", **value: Any) -> dict[str, Any]:
    place = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, "rotation": 0, **value}
    return {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "value": {**place, "rectanglelabels": [label]},
    }


def choice(*labels: str) -> dict[str, Any]:
    return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": list(labels)}}


def span(start: int, end: int, said: str | None = None, label: str = "PER") -> dict[str, Any]:
    value: dict[str, Any] = {"start": start, "end": end, "labels": [label]}
    if said is not None:
        value["text"] = said
    return {"id": "s1", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def task(*results: list[Any], number: int = 1, **data: Any) -> dict[str, Any]:
    frames = [
        {"id": 100 * number + place, "completed_by": place, "result": result, "was_cancelled": False}
        for place, result in enumerate(results, start=1)
    ]
    return {"id": number, "data": data or {"image": f"https://host/{number}.jpg"}, "annotations": frames}


def saved(tmp_path: Path, *tasks: Any) -> Path:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(list(tasks)))
    return path


def there_and_back(tmp_path: Path, *tasks: Any) -> list[Any]:
    reading, items = read(FORMAT, saved(tmp_path, *tasks))
    write(FORMAT, tmp_path / "back.json", reading.header, items)
    found: list[Any] = json.loads((tmp_path / "back.json").read_text())
    return found


@pytest.mark.parametrize("name", EXPORTS)
def test_real_exports_come_back_exactly_through_jsonl(name: str, exports: Path, tmp_path: Path) -> None:
    reading, items = read(FORMAT, exports / name)
    write(jsonl.FORMAT, tmp_path / "items.jsonl", reading.header, items)
    again, same = read(jsonl.FORMAT, tmp_path / "items.jsonl")
    assert (again.header, same) == (reading.header, items)
    write(FORMAT, tmp_path / "back.json", again.header, same)
    assert json.loads((tmp_path / "back.json").read_text()) == json.loads((exports / name).read_text())


def test_fact_25_percents_become_pixels_and_back(exports: Path) -> None:
    reading, items = read(FORMAT, exports / "lsx_bbox.json")
    assert [one.name for one in reading.header.categories] == ["car"]
    first = items[0]
    assert (first.name, first.id, first.width, first.height) == ("0.jpg", "task-0", 640, 480)
    assert first.annotations[0].bbox == (64.0, 96.0, 192.0, 192.0)


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)),
    shares=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0, 1), st.floats(0, 1)),
)
def test_fact_25_a_box_moves_less_than_a_billionth_of_a_pixel(
    size: tuple[int, int], shares: tuple[float, float, float, float]
) -> None:
    from hiveguard_pipeline.formats.label_studio.regions import annotations_of, region_of

    wide, high = size
    x, y, w, h = shares
    bbox = (x * wide, y * high, w * wide, h * high)
    region = region_of(Annotation(0, bbox), "a", 0, Item("i", width=wide, height=high), size, "here")
    del region["meta"]
    (back,) = annotations_of(region, "box", {"a": 0}, None, "here")
    assert back.bbox == pytest.approx(bbox, rel=0, abs=1e-9)


def test_fact_25_polygons(tmp_path: Path) -> None:
    points = [[10.0, 10.0], [50.0, 10.0], [50.0, 50.0]]
    region = {**box(), "type": "polygonlabels", "value": {"points": points, "polygonlabels": ["car"]}}
    _, (item,) = read(FORMAT, saved(tmp_path, task([region])))
    assert item.annotations[0].segmentation == [[64.0, 48.0, 320.0, 48.0, 320.0, 240.0]]
    assert item.annotations[0].bbox == (64.0, 48.0, 256.0, 192.0)


@pytest.mark.parametrize(
    ("region", "told"),
    [
        (box(x=150.0), "beside the image"),
        (box(width=-1.0), "below 0"),
        (box(x="12"), "a number"),
        ({**box(), "original_width": None}, "original_width"),
        ({**box(), "original_height": 0}, "original_height"),
        ({**box(), "original_width": 2**31}, "original_width"),
    ],
)
def test_fact_26_what_the_server_does_not_check_is_checked(
    region: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=rf"task 1 \(id 1\), annotation 101, region 1.*{told}"):
        read(FORMAT, saved(tmp_path, task([region])))


def test_fact_26_tasks_name_controls_and_sizes(tmp_path: Path) -> None:
    items = [
        Item("a b.jpg", [Annotation(0, (1.0, 2.0, 3.0, 4.0))], width=10, height=20),
        Item("t", [Annotation(1, span=(0, 3))], text="Ada"),
        Item("c.jpg", labels=(1, 0)),
    ]
    write(FORMAT, tmp_path / "tasks.json", Header([Category("cat"), Category("dog")]), items)
    first, second, third = json.loads((tmp_path / "tasks.json").read_text())
    assert first["data"]["image"] == "a b.jpg"
    region = first["annotations"][0]["result"][0]
    assert {key: region[key] for key in ("from_name", "to_name", "type", "original_width")} == {
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 10,
    }
    assert region["value"]["width"] == 30.0
    value = second["annotations"][0]["result"][0]["value"]
    assert value == {"start": 0, "end": 3, "text": "Ada", "labels": ["dog"]}
    assert third["annotations"][0]["result"][0]["value"] == {"choices": ["dog", "cat"]}


def test_fact_27_our_id_goes_with_each_task_and_a_second_import_is_told(tmp_path: Path) -> None:
    write(FORMAT, tmp_path / "tasks.json", Header([]), [Item("x/1.jpg"), Item("x/2.jpg")])
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert [one["data"]["hg_id"] for one in tasks] == ["x/1.jpg", "x/2.jpg"]
    imported = [{**one, "id": place} for place, one in enumerate([*tasks, *tasks], start=1)]
    with pytest.raises(BadInputError, match="tasks 1 and 3 are the same item"):
        read(FORMAT, saved(tmp_path, *imported))


def test_fact_28_withdrawn_answers_are_counted_and_every_annotator_is_kept(
    exports: Path, tmp_path: Path
) -> None:
    _, items = read(FORMAT, exports / "bbox_two_annotators.JSON.txt")
    assert [(one.category, one.annotator) for one in items[0].annotations] == [(0, "1"), (1, "1")]
    cancelled = task([box()], [], [box("dog")])
    cancelled["annotations"][1]["was_cancelled"] = True
    cancelled["predictions"] = [{"result": [box("ghost")]}]
    reading, (item,) = read(FORMAT, saved(tmp_path, cancelled))
    assert [one.annotator for one in item.annotations] == ["1", "3"]
    assert [one.name for one in reading.header.categories] == ["car", "dog"]
    assert [(one.code, one.count) for one in reading.notes.rows()] == [("label_studio_cancelled_skipped", 1)]


def test_fact_28_choices_of_people_who_differ_are_votes(tmp_path: Path) -> None:
    agreed, differ = (
        task([choice("a", "b")], [choice("b", "a")]),
        task([choice("a")], [choice("b")], number=2),
    )
    _, (one, two) = read(FORMAT, saved(tmp_path, agreed, differ))
    assert (one.labels, one.annotations) == ((0, 1), [])
    assert two.labels == ()
    assert [(each.category, each.annotator) for each in two.annotations] == [(0, "1"), (1, "2")]


def test_fact_06_never_labelled_and_reviewed_and_empty_differ(exports: Path, tmp_path: Path) -> None:
    _, items = read(FORMAT, exports / "lsx_ner.json")
    assert [one.reviewed for one in items][:4] == [True, True, True, False]
    _, (one, two) = read(FORMAT, saved(tmp_path, task([]), task(number=2)))
    assert (one.reviewed, two.reviewed) == (True, False)


def test_fact_30_offsets_are_code_points_and_utf_16_is_told_by_the_text(
    exports: Path, tmp_path: Path
) -> None:
    _, items = read(FORMAT, exports / "ner_emoji_parent_prediction.json")
    assert items[0].annotations[0].span == (2, 14)
    text = "😀 Ada 😀"
    _, (item,) = read(FORMAT, saved(tmp_path, task([span(3, 6, "Ada")], text=text)))
    assert item.text is not None
    assert item.annotations[0].span == (2, 5)
    assert there_and_back(tmp_path, task([span(3, 6, "Ada")], text=text)) == [
        task([span(3, 6, "Ada")], text=text)
    ]
    for start, end, said in ((1, 3, "Ada"), (0, 99, None), (4, 2, "Ada"), (-1, 2, "Ada")):
        with pytest.raises(BadInputError, match="region 1"):
            read(FORMAT, saved(tmp_path, task([span(start, end, said)], text=text)))


def test_fact_32_rotation_is_kept(tmp_path: Path) -> None:
    turned = task([box(rotation=90.5)])
    _, (item,) = read(FORMAT, saved(tmp_path, turned))
    assert item.annotations[0].rotation == 90.5
    assert there_and_back(tmp_path, turned) == [turned]


def test_fact_32_an_image_turned_in_the_editor_is_refused_or_kept_aside(tmp_path: Path) -> None:
    turned = task([{**box(), "image_rotation": 90}, box("dog")])
    with pytest.raises(BadInputError, match="turned in the editor"):
        read(FORMAT, saved(tmp_path, turned))
    reading, items = read(FORMAT, saved(tmp_path, turned), allow_lossy=True)
    assert len(items[0].annotations) == 1
    assert [one.code for one in reading.notes.rows()] == ["label_studio_image_rotation_kept_aside"]
    write(FORMAT, tmp_path / "back.json", reading.header, items)
    assert json.loads((tmp_path / "back.json").read_text()) == [turned]


@pytest.mark.parametrize(
    ("reference", "root", "name"),
    [
        ("/data/local-files/?d=photos%2Fa%20b.jpg", None, "photos/a b.jpg"),
        ("/data/local-files/?d=srv/photos/a.jpg", "/srv/photos", "a.jpg"),
        ("/data/upload/3/1f-a.jpg", None, "upload/3/1f-a.jpg"),
        ("s3://bucket/some/a.jpg", None, "some/a.jpg"),
        ("https://host/a%20b.jpg?token=x", None, "a b.jpg"),
        ("/srv/photos/x/a.jpg", "/srv/photos", "x/a.jpg"),
        ("/data/photos/x/a.jpg", "/data/photos", "x/a.jpg"),
        ("/data/local-files/?d=data%2Fphotos/a%2Bb.jpg", "/data/photos/", "a+b.jpg"),
        ("/data/local-files/?d=photos%2Fx%2Fa.jpg", "/data/local-files/?d=photos", "x/a.jpg"),
        ("/data/local-files/?d=photographs/a.jpg", "/photo", "photographs/a.jpg"),
        ("https://host/some/x/a%20b.jpg?token=x", "https://host/some/", "x/a b.jpg"),
        ("/data/upload/3/1f-a.jpg", "/data/upload/3", "1f-a.jpg"),
    ],
)
def test_fact_33_references_become_names(reference: str, root: str | None, name: str, tmp_path: Path) -> None:
    given = task([box()], image=reference)
    reading, items = read(FORMAT, saved(tmp_path, given), rebase_paths=root)
    assert items[0].name == name
    write(FORMAT, tmp_path / "back.json", reading.header, items, rebase_paths=root)
    assert json.loads((tmp_path / "back.json").read_text()) == [given]


def test_fact_33_names_become_references(tmp_path: Path) -> None:
    for root, wanted in (
        ("/srv/photos", "/data/local-files/?d=srv/photos/x/a%20b.jpg"),
        ("s3://bucket/some", "s3://bucket/some/x/a%20b.jpg"),
        ("/data/local-files/?d=", "/data/local-files/?d=x/a%20b.jpg"),
        ("/data/photos", "/data/local-files/?d=data/photos/x/a%20b.jpg"),
    ):
        write(FORMAT, tmp_path / "t.json", Header([]), [Item("x/a b.jpg")], rebase_paths=root)
        (made,) = json.loads((tmp_path / "t.json").read_text())
        assert made["data"]["image"] == wanted
        _, (back,) = read(FORMAT, tmp_path / "t.json")
        assert back == Item("x/a b.jpg")


@pytest.mark.parametrize(
    "mask", [[[1, 2, "3", 4, 5, 6]], ["abcdef"], [[1, 2, 3, 4, 5, 10**400]], [[None] * 6]]
)
def test_a_mask_that_is_no_polygon_is_kept_beside_the_box(tmp_path: Path, mask: list[Any]) -> None:
    item = Item("a.jpg", [Annotation(0, (1.0, 2.0, 3.0, 4.0), segmentation=mask)], width=10, height=10)
    write(FORMAT, tmp_path / "t.json", Header([Category("cat")]), [item])
    _, (back,) = read(FORMAT, tmp_path / "t.json")
    assert back == item


@pytest.mark.parametrize(
    "root", ["/srv/my photos", "/data/photos/", "s3://bucket/some", "/data/local-files/?d=photos"]
)
@pytest.mark.parametrize("with_ours", [True, False])
def test_fact_33_rebased_both_ways_by_the_converter(tmp_path: Path, root: str, with_ours: bool) -> None:
    given = Item("x/a b.jpg", [Annotation(0, (1.0, 2.0, 3.0, 4.0))], width=10, height=10)
    write(jsonl.FORMAT, tmp_path / "in.jsonl", Header([Category("cat")]), [given])

    def convert(source: str, target: str, root: str | None) -> None:
        FormatConverter().convert(
            input_path=tmp_path / source,
            input_format="jsonl" if source.endswith(".jsonl") else "label-studio",
            output_path=tmp_path / target,
            output_format="jsonl" if target.endswith(".jsonl") else "label-studio",
            options=Options(rebase_paths=root, allow_lossy=True),
        )

    def names(file: str) -> list[str]:
        return [read.item.name for read in jsonl.FORMAT.read(tmp_path / file, Options()).reads()]

    convert("in.jsonl", "tasks.json", root)
    if not with_ours:  # as somebody else's tasks
        (made,) = json.loads((tmp_path / "tasks.json").read_text())
        made["data"] = {"image": made["data"]["image"]}
        saved(tmp_path, made).rename(tmp_path / "tasks.json")
    convert("tasks.json", "back.jsonl", root)
    assert names("back.jsonl") == [given.name]
    # A server wants addresses: between tasks they stay, and absolute paths become some.
    absolute = replace(given, name=f"{root.rstrip('/')}/{given.name}")
    write(jsonl.FORMAT, tmp_path / "absolute.jsonl", Header([Category("cat")]), [absolute])
    image = json.loads((tmp_path / "tasks.json").read_text())[0]["data"]["image"]
    for source in (
        "tasks.json",
        *(["absolute.jsonl"] if root in ("/srv/my photos", "/data/photos/") else []),
    ):
        convert(source, f"{source} again", root)
        assert json.loads((tmp_path / f"{source} again").read_text())[0]["data"]["image"] == image


@pytest.mark.parametrize(
    "name", ["../x.jpg", "/etc/passwd", "/data/local-files/?d=..%2F..%2Fx.jpg", "c:\\x.jpg"]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="task 1"):
        read(FORMAT, saved(tmp_path, task([box()], image=name)))


def test_hosts_are_kept_where_names_would_collide(tmp_path: Path) -> None:
    two = [task(number=n, image=f"https://{host}/1.jpg") for n, host in ((1, "a"), (2, "b"))]
    reading, items = read(FORMAT, saved(tmp_path, *two))
    assert [one.name for one in items] == ["a/1.jpg", "b/1.jpg"]
    write(FORMAT, tmp_path / "back.json", reading.header, items)
    assert json.loads((tmp_path / "back.json").read_text()) == two


ASIDE = [
    {"type": "brushlabels", "value": {"format": "rle", "rle": [0, 1], "brushlabels": ["car"]}},
    {"type": "ellipselabels", "value": {"x": 1, "y": 2, "radiusX": 3, "ellipselabels": ["car"]}},
    {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
    {"type": "textarea", "value": {"text": ["a note"]}},
    {"id": "r1", "type": "choices", "value": {"choices": ["occluded"]}},
    {"type": "magic"},
]


@pytest.mark.parametrize("other", ASIDE, ids=lambda one: str(one["type"]))
def test_what_the_model_has_no_place_for_is_counted_and_comes_back(
    other: dict[str, Any], tmp_path: Path
) -> None:
    given = task([box(), other])
    reading, (item,) = read(FORMAT, saved(tmp_path, given))
    assert len(item.annotations) == 1
    assert [one.name for one in reading.header.categories] == ["car"]
    kind = "other" if other["type"] == "magic" else other["type"]
    assert [one.code for one in reading.notes.rows()] == [f"label_studio_{kind}_kept_aside"]
    assert there_and_back(tmp_path, given) == [given]


@pytest.mark.parametrize("other", [*ASIDE, {**box(), "image_rotation": 90}], ids=lambda one: str(one["type"]))
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_region_that_becomes_no_annotation_is_a_loss_where_its_task_is_not_kept(
    other: dict[str, Any], by_hand: bool, tmp_path: Path
) -> None:
    given = task([box(), other])
    if by_hand:
        given = {"data": given["data"], "annotations": [{"result": [box(), other]}]}
    source = saved(tmp_path, given)
    code = "label_studio_regions_dropped"
    for target in ("coco", "csv"):
        done = convert(source, "label-studio", tmp_path / target, target, allow_lossy=True)
        assert [loss.count for loss in done.lost if loss.code == code] == [1]
    if "image_rotation" not in other:
        with pytest.raises(BadInputError, match=rf"{code} 1 \(first: 1.jpg: "):
            convert(source, "label-studio", tmp_path / "refused", "coco")
    done = convert(source, "label-studio", tmp_path / "yolo", "yolo", allow_lossy=True)
    assert code in [loss.code for loss in done.kept]
    convert(tmp_path / "yolo", "yolo", tmp_path / "kept.jsonl", "jsonl")
    done = convert(tmp_path / "kept.jsonl", "jsonl", tmp_path / "back", "label-studio")
    assert not done.lost
    (back,) = json.loads((tmp_path / "back").read_text())
    assert back["annotations"][0]["result"][1] == other


@pytest.mark.parametrize(
    "data",
    [
        {"video": "/data/upload/1/my clip.mp4"},
        {"audio": "https://host/a.wav?token=x"},
        {"audio": "data:audio/wav;base64,AAAA"},
        {"text": "/data/local-files/?d=a/b.flac"},
        {"title": "A day out", "clip": "/data/upload/1/a.mp4"},
    ],
)
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_video_or_sound_is_no_text(data: dict[str, Any], by_hand: bool, tmp_path: Path) -> None:
    label = {**choice("loud"), "to_name": next(reversed(data))}
    given = task([label], **data)
    if by_hand:
        given = {"data": data, "annotations": [{"result": [label]}]}
    reading, (item,) = read(FORMAT, saved(tmp_path, given))
    assert item.text is None
    assert [(one.code, one.count) for one in reading.notes.rows()] == [("label_studio_media_skipped", 1)]
    assert there_and_back(tmp_path, given) == [given]


def test_a_text_that_ends_as_a_file_does_stays_a_text(tmp_path: Path) -> None:
    tasks = [task([], text="setup.json"), task([], number=2, body="He sent me the file report.pdf")]
    _, items = read(FORMAT, saved(tmp_path, *tasks))
    assert [one.text for one in items] == ["setup.json", "He sent me the file report.pdf"]


def test_changes_between_are_written_and_nothing_else_is_touched(tmp_path: Path) -> None:
    brush = ASIDE[0]
    given = task([box(), brush, {**box("dog"), "id": "r2"}, {**box("dog"), "id": "r3"}])
    reading, (item,) = read(FORMAT, saved(tmp_path, given))
    moved, removed = item.annotations[0], item.annotations[1]
    moved.bbox = (0.0, 0.0, 64.0, 48.0)
    item.annotations.remove(removed)
    item.annotations.append(Annotation(1, (1.0, 1.0, 2.0, 2.0), annotator="9"))
    write(FORMAT, tmp_path / "back.json", reading.header, [item])
    (back,) = json.loads((tmp_path / "back.json").read_text())
    first, *rest = back["annotations"][0]["result"]
    assert (first["id"], first["value"]["width"], first["value"]["x"]) == ("r1", 10.0, 0.0)
    assert rest == [brush, given["annotations"][0]["result"][3]]
    assert len(back["annotations"]) == 2
    _, (again,) = read(FORMAT, tmp_path / "back.json")
    assert [one.bbox for one in again.annotations] == [one.bbox for one in item.annotations]
    assert again.annotations[-1].annotator == "9"


def test_what_a_person_edits_in_the_server_holds_and_the_rest_is_restored(tmp_path: Path) -> None:
    header = Header([Category("cat", 7, "animal"), Category("dog", 3)])
    rle = {"size": [20, 10], "counts": [0, 200]}
    kept = Annotation(0, (1.1, 2.2, 3.3, 4.4), id=41, area=9.5, crowd=True, segmentation=rle, order=3)
    edited = Annotation(1, (0.0, 0.0, 5.0, 5.0), id=42, area=25.0, segmentation=[[0.0] * 6, [1.0] * 6])
    item = Item("x/a.jpg", [kept, edited], id=12, width=10, height=20, split="train", extra={"coco_url": "u"})
    write(FORMAT, tmp_path / "tasks.json", header, [item])
    (task_,) = json.loads((tmp_path / "tasks.json").read_text())
    task_ |= {"id": 5}
    task_["annotations"][0] |= {"id": 6, "completed_by": 2, "was_cancelled": False}
    task_["annotations"][0]["result"][1]["value"]["x"] = 50.0
    task_["annotations"][0]["result"].append({**box("cow"), "original_width": 10, "original_height": 20})
    reading, (back,) = read(FORMAT, saved(tmp_path, task_))
    assert reading.header.categories == [*header.categories, Category("cow")]
    for annotation in back.annotations:
        assert annotation.extra.pop("label_studio")
    assert back.annotations[0] == kept
    changed = back.annotations[1]
    assert (changed.id, changed.bbox, changed.area, changed.segmentation) == (
        42,
        (5.0, 0.0, 5.0, 5.0),
        None,
        None,
    )
    assert back.annotations[2].category == 2
    assert (back.name, back.id, back.split) == (item.name, 12, "train")
    assert back.extra["coco_url"] == "u"


def fits(header: Header, items: list[Item]) -> bool:
    """What the format can say of itself: spans need their text, and boxes the size of the image."""
    return all(
        (annotation.span is None or item.text is not None)
        and (annotation.bbox is None or bool(item.width and item.height))
        for item in items
        for annotation in item.annotations
    )


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(model=models().filter(lambda model: fits(*model)))
def test_every_model_comes_back_from_our_own_tasks(model: tuple[Header, list[Item]], tmp_path: Path) -> None:
    header, items = model
    write(FORMAT, tmp_path / "tasks.json", header, items)
    reading, back = read(FORMAT, tmp_path / "tasks.json")
    assert by_annotator(back) == by_annotator(items)
    if items:
        assert reading.header == header


def by_annotator(items: list[Item]) -> list[Any]:
    """People's annotations stand together in a task."""
    found = []
    for item in items:
        people = list(dict.fromkeys(one.annotator for one in item.annotations))
        ordered = sorted(item.annotations, key=lambda one: people.index(one.annotator))
        found.append((item.name, item.labels, item.id, item.text, item.split, item.extra, ordered))
    return found


def test_data_is_found_by_its_look_where_the_controls_have_other_names(tmp_path: Path) -> None:
    shot = {**box(), "to_name": "img1"}
    said = {**span(4, 7, "Ada"), "to_name": "t1"}
    image = task([shot], title="a day out", photo="https://host/x/a.jpg")
    text = task([said], number=2, title="letter", body="Hi, Ada")
    text["annotations"][0]["result"][0]["value"].update(start=4, end=7)
    _, (one, two) = read(FORMAT, saved(tmp_path, image, text))
    assert (one.name, one.text) == ("x/a.jpg", None)
    assert (two.name, two.text) == ("task-2", "Hi, Ada")


def test_json_min_is_refused_with_what_to_do(tmp_path: Path) -> None:
    minimal = {"id": 1, "image": "a.jpg", "label": [], "annotator": 1, "annotation_id": 3}
    with pytest.raises(BadInputError, match=r"JSON-MIN export.*export the project as JSON"):
        read(FORMAT, saved(tmp_path, minimal))


def test_a_box_without_a_size_is_refused_with_what_to_do(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(0, (1.0, 1.0, 1.0, 1.0))])
    with pytest.raises(BadInputError, match="--image-dir"):
        write(FORMAT, tmp_path / "t.json", Header([Category("x")]), [item])


@pytest.mark.parametrize(
    "data", [{"image": "a.jpg", "hg_item": {"item": {}}}, {"clip": "a.mp4"}], ids=["ours", "media"]
)
@pytest.mark.parametrize("hg_id", ["../../a.jpg", "/etc/../a.jpg", "C:\\data\\a.jpg", "a\0.jpg"])
def test_an_id_that_names_an_image_may_not_lead_out(hg_id: str, data: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path, {"data": {**data, "hg_id": hg_id}})
    with pytest.raises(BadInputError, match=r"task 1: data\.hg_id: the file name"):
        read(FORMAT, path)
    path = saved(tmp_path, {"data": {"text": "a", "hg_id": hg_id}})
    assert [one.name for one in read(FORMAT, path)[1]] == [hg_id]
