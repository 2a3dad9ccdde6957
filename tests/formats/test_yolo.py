"""YOLO: what its layouts say, what is written, and what comes back."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.convert import FormatConverter
from hiveguard_pipeline.formats.format import Feature, Options, Read
from hiveguard_pipeline.formats.jsonl.format import FORMAT as JSONL
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.yolo import FORMAT
from tests.formats.any_model import read, write
from tests.formats.image_models import image_models, there_and_back
from tests.formats.pictures import PICTURES, picture

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def put(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read_all(root: Path, **options: object) -> tuple[Header, list[Read]]:
    reading = FORMAT.read(root, Options(**options))  # type: ignore[arg-type]
    first, again = list(reading.reads()), list(reading.reads())
    assert first == again
    return reading.header, first


def sized(width: int = 100, height: int = 50) -> dict[str, object]:
    return {"known_size": lambda _: (width, height)}


def write_all(
    target: Path, header: Header, items: list[Item], **options: object
) -> tuple[Losses, list[object]]:
    target.mkdir(exist_ok=True)
    losses = Losses()
    written = list(FORMAT.write(header, iter(items), target, Options(**options), losses))  # type: ignore[arg-type]
    assert [one.item for one in written] == items
    return losses, [(one.file, one.rows, one.about) for one in written]


YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"
EMPTY_VAL = {"labels/val/none.txt": ""}


def test_fact_13_classes_are_numbered_in_their_declared_order(tmp_path: Path) -> None:
    header = Header([Category("zebra", 90), Category("cat", 18), Category("ant", 3)])
    items = [
        Item(
            "a.jpg", [Annotation(place, (10.0, 5.0, 20.0, 10.0)) for place in (2, 0, 1)], width=100, height=50
        )
    ]
    write_all(tmp_path / "out", header, items)
    assert (tmp_path / "out/labels/all/a.txt").read_text().splitlines() == [
        "2 0.2 0.2 0.2 0.2",
        "0 0.2 0.2 0.2 0.2",
        "1 0.2 0.2 0.2 0.2",
    ]
    described = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert described["names"] == ["zebra", "cat", "ant"]
    assert described["nc"] == 3


def test_fact_13_splits_have_folders_of_their_own(tmp_path: Path) -> None:
    items = [
        Item("s/a.jpg", split="train"),
        Item("b.jpg", split="validation"),
        Item("c.jpg", split="test"),
        Item("d.jpg"),
    ]
    write_all(tmp_path / "out", Header([Category("cat")]), items)
    labels = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.txt"))
    assert labels == ["labels/all/d.txt", "labels/test/c.txt", "labels/train/s/a.txt", "labels/val/b.txt"]
    described = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert {key: described[key] for key in ("train", "val", "test")} == {
        "train": "images/train",
        "val": "images/val",
        "test": "images/test",
    }
    _, reads = read_all(tmp_path / "out", **sized())
    assert sorted((read.item.name, read.item.split) for read in reads) == [
        ("b", "validation"),
        ("c", "test"),
        ("d", None),
        ("s/a", "train"),
    ]


def test_fact_13_images_without_a_split_are_named_once_and_have_none_on_the_way_back(tmp_path: Path) -> None:
    write_all(tmp_path / "out", Header([Category("cat")]), [Item("d.jpg")])
    described = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert described["train"] == "images/all"
    assert described["val"] == "images/val"
    assert (tmp_path / "out/images/val").is_dir()
    _, reads = read_all(tmp_path / "out", **sized())
    assert [(read.item.name, read.item.split) for read in reads] == [("d", None)]


def test_fact_13_an_empty_or_missing_label_file_is_background(tmp_path: Path) -> None:
    put(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": "", "labels/train/c.txt": "1 .5 .5 .1 .1\n"})
    for name in ("a", "b", "c"):
        put(tmp_path, {f"images/train/{name}.jpg": picture("upright.jpg")})
    put(tmp_path, {"images/val/z.png": picture("upright.png")})
    _, reads = read_all(tmp_path)
    assert [(read.item.name, len(read.item.annotations)) for read in reads] == [
        ("a.jpg", 0),
        ("b.jpg", 0),
        ("c.jpg", 1),
        ("z.png", 0),
    ]
    assert {(read.item.width, read.item.height) for read in reads} == {(3, 2)}


@pytest.mark.parametrize(
    "names", ["[cat, dog]", "\n  0: cat\n  1: dog\n", "\n- cat\n- dog\n", "{1: dog, 0: cat}"]
)
def test_fact_13_names_are_a_list_or_a_mapping(tmp_path: Path, names: str) -> None:
    put(tmp_path, {"data.yaml": f"train: images/train\nval: images/train\nnames: {names}\nnc: 2\n"})
    put(tmp_path, {"labels/train/a.txt": "1 .5 .5 1 1\n"})
    header, reads = read_all(tmp_path, **sized())
    assert [category.name for category in header.categories] == ["cat", "dog"]
    assert reads[0].item.split is None, "train and val name the same images"


def test_fact_13_roboflow_paths_lead_up_and_are_found_below(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "data.yaml": "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\n"
            "names: ['cat']\nroboflow:\n  license: CC BY 4.0\n",
            "train/labels/a.txt": "0 .5 .5 .2 .4\n",
            "valid/labels/b.txt": "0 .5 .5 .2 .4\n",
        },
    )
    header, reads = read_all(tmp_path, **sized())
    assert [(read.item.name, read.item.split, read.file) for read in reads] == [
        ("a", "train", "train/labels/a.txt"),
        ("b", "validation", "valid/labels/b.txt"),
    ]
    assert reads[0].item.annotations[0].bbox == pytest.approx((40, 15, 20, 20))
    assert header.extra == {"roboflow": {"license": "CC BY 4.0"}}


@pytest.mark.parametrize("path", ["/home/somebody/datasets/coco8", "../datasets/coco8", ".", "coco8"])
def test_a_path_of_another_machine_is_taken_as_the_folder_of_data_yaml(tmp_path: Path, path: str) -> None:
    put(tmp_path, {"data.yaml": f"path: {path}\n{YAML}", "labels/train/a.txt": "0 .5 .5 1 1", **EMPTY_VAL})
    assert len(read_all(tmp_path, **sized())[1]) == 2


def test_a_path_below_the_folder_and_lists_of_folders(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "my.yaml": "path: deep/er\ntrain: [images/one, images/two]\nval: images/three\nnames: {0: cat}\n",
            "deep/er/labels/one/a.txt": "0 .5 .5 1 1",
            "deep/er/labels/two/b.txt": "",
            "deep/er/labels/three/c.txt": "",
        },
    )
    _, reads = read_all(tmp_path / "my.yaml", **sized())
    assert [(read.item.name, read.item.split) for read in reads] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "validation"),
    ]


def test_fact_13_lists_of_images_keep_their_order_and_names(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "data.yaml": "train: train.txt\nval: val.txt\nnames: [cat]\n",
            "train.txt": "./images/x/b.jpg\r\n\n/mnt/data/set/images/x/a.jpg\n",
            "val.txt": "images/x/c.jpg\n",
            "labels/x/a.txt": "0 .5 .5 1 1",
            "labels/x/b.txt": "",
            "labels/x/c.txt": "",
            "labels/x/not-listed.txt": "",
        },
    )
    _, reads = read_all(tmp_path, **sized())
    assert [(read.item.name, read.item.split, read.file) for read in reads] == [
        ("x/b.jpg", "train", "labels/x/b.txt"),
        ("x/a.jpg", "train", "labels/x/a.txt"),
        ("x/c.jpg", "validation", "labels/x/c.txt"),
    ]


def test_fact_13_darknet_as_cvat_writes_it(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "obj.data": "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\n"
            "names = data/obj.names\n"
            "backup = backup/\n",
            "obj.names": "cat\ndining table\n",
            "train.txt": "data/obj_train_data/s/a.jpg\ndata/obj_train_data/b.jpg\n",
            "valid.txt": "data/obj_valid_data/c.jpg\n",
            "obj_train_data/s/a.txt": "1 0.5 0.5 0.2 0.4\n",
            "obj_train_data/b.txt": "",
            "obj_valid_data/c.txt": "0 .5 .5 .5 .5 \n",
        },
    )
    for given_path in (tmp_path, tmp_path / "obj.data"):
        header, reads = read_all(given_path, **sized())
        assert [category.name for category in header.categories] == ["cat", "dining table"]
        assert header.extra == {"backup": "backup/"}
        assert [(read.item.name, read.item.split) for read in reads] == [
            ("s/a.jpg", "train"),
            ("b.jpg", "train"),
            ("c.jpg", "validation"),
        ]
        assert reads[0].rows == ["dining table 0.5 0.5 0.2 0.4"]
        assert reads[0].item.annotations[0].bbox == pytest.approx((40, 15, 20, 20))


def test_classes_txt_beside_images_and_labels(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "classes.txt": "cat\ndog\n",
            "notes.json": "{}",
            "labels/a.txt": "1 .5 .5 1 1",
            "labels/classes.txt": "cat\ndog\n",
            "images/a.png": picture("upright.png"),
            "images/classes.png": picture("upright.png"),
        },
    )
    with pytest.raises(BadInputError, match=r"labels/classes.txt, line 1: numbers are wanted"):
        read_all(tmp_path)  # there is an image of that name, so these are its labels
    (tmp_path / "images/classes.png").unlink()
    assert [read.item.name for read in read_all(tmp_path)[1]] == ["a.png"]


def test_label_files_beside_their_images(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "classes.txt": "cat\n",
            "README.txt": "hello",
            "s/a.txt": "0 .5 .5 1 1",
            "s/a.png": picture("upright.png"),
            "b.PNG": picture("upright.png"),
        },
    )
    assert [(read.item.name, read.file) for read in read_all(tmp_path)[1]] == [
        ("b.PNG", "b.txt"),
        ("s/a.png", "s/a.txt"),
    ]


@pytest.mark.parametrize("name", PICTURES)
def test_fact_14_sizes_are_those_of_the_picture_as_it_is_shown(tmp_path: Path, name: str) -> None:
    sideways = name.split(".")[0] in {"orientation_5", "orientation_6", "orientation_8"}
    put(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": "0 .5 .5 1 .5\n", **EMPTY_VAL})
    put(tmp_path / "pictures", {f"a.{name.split('.')[1]}": picture(name), "none.png": picture("upright.png")})
    _, reads = read_all(tmp_path, image_dir=tmp_path / "pictures")
    item = reads[0].item
    assert (item.width, item.height) == ((2, 3) if sideways else (3, 2))
    assert item.annotations[0].bbox == ((0, 0.75, 2, 1.5) if sideways else (0, 0.5, 3, 1))
    assert item.name == f"a.{name.split('.')[1]}"


def test_fact_14_sizes_of_items_come_from_the_image_folder_on_writing(tmp_path: Path) -> None:
    put(tmp_path / "pictures", {"s/a.jpg": picture("orientation_6.jpg")})
    item = Item("s/a.jpg", [Annotation(0, (0.0, 0.0, 2.0, 1.5))])
    write_all(tmp_path / "out", Header([Category("cat")]), [item], image_dir=tmp_path / "pictures")
    assert (tmp_path / "out/labels/all/s/a.txt").read_text() == "0 0.5 0.25 1.0 0.5\n"
    assert item.width is None


def test_fact_14_images_without_a_size_are_named_in_the_refusal(tmp_path: Path) -> None:
    items = [Item(f"{place}.jpg", [Annotation(0, (0.0, 0.0, 2.0, 1.5))]) for place in range(7)]
    with pytest.raises(
        BadInputError, match=r"sizes of 7 images.*0.jpg, 1.jpg, .*4.jpg, \.\.\.\. .*--image-dir"
    ):
        write_all(tmp_path / "out", Header([Category("cat")]), items)
    put(tmp_path / "in", {"data.yaml": YAML, "labels/train/a.txt": "0 .5 .5 1 .5\n", **EMPTY_VAL})
    reading = FORMAT.read(tmp_path / "in", Options())
    with pytest.raises(
        BadInputError, match=r"sizes of 2 images.*images/train/a, images/val/none.*--image-dir"
    ):
        list(reading.reads())


def test_fact_14_shares_are_written_so_that_no_bit_is_lost(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(0, (123.456, 77.7, 301.23, 99.99))], width=1920, height=1081)
    write_all(tmp_path / "out", Header([Category("cat")]), [item])
    tokens = (tmp_path / "out/labels/all/a.txt").read_text().split()
    assert [float(token) for token in tokens[1:]] == [
        (123.456 + 301.23 / 2) / 1920,
        (77.7 + 99.99 / 2) / 1081,
        301.23 / 1920,
        99.99 / 1081,
    ]
    _, reads = read_all(tmp_path / "out", **sized(1920, 1081))
    assert reads[0].item.annotations[0].bbox == pytest.approx((123.456, 77.7, 301.23, 99.99), abs=1e-11)


def one_row(tmp_path: Path, row: str, described: str = "", **options: object) -> Annotation:
    put(tmp_path, {"data.yaml": YAML + described, "labels/train/a.txt": row, **EMPTY_VAL})
    return read_all(tmp_path, **{**sized(), **options})[1][0].item.annotations[0]


def test_fact_15_six_tokens_are_a_box_and_its_confidence(tmp_path: Path) -> None:
    read = one_row(tmp_path, "1 0.5 0.5 0.2 0.4 0.875")
    assert (read.category, read.score) == (1, 0.875)
    assert read.bbox == pytest.approx((40, 15, 20, 20))


def test_fact_15_seven_tokens_and_more_are_a_polygon(tmp_path: Path) -> None:
    read = one_row(tmp_path, "0 0.1 0.1 0.5 0.1 0.5 0.5")
    assert read.segmentation == [[10.0, 5.0, 50.0, 5.0, 50.0, 25.0]]
    assert read.bbox == (10.0, 5.0, 40.0, 20.0)
    assert read.area == 400.0


def test_fact_15_nine_tokens_are_a_turned_box_only_where_declared(tmp_path: Path) -> None:
    corners = [(60.0, 10.0), (60.0, 40.0), (20.0, 40.0), (20.0, 10.0)]  # 30 x 40, turned by 90 degrees
    row = "0 " + " ".join(f"{x / 100!r} {y / 50!r}" for x, y in corners)
    polygon = one_row(tmp_path, row)
    assert polygon.rotation is None
    assert polygon.segmentation == [[60.0, 10.0, 60.0, 40.0, 20.0, 40.0, 20.0, 10.0]]
    turned = one_row(tmp_path, row, "task: obb\n")
    assert turned.segmentation is None
    assert turned.rotation == pytest.approx(90)
    assert turned.bbox == pytest.approx((60, 10, 30, 40))


def test_keypoints_are_read_only_where_declared(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.2 0.4 0.1 0.2 2 0.3 0.4 0"
    read = one_row(tmp_path, row, "kpt_shape: [2, 3]\n")
    assert read.bbox == pytest.approx((40, 15, 20, 20))
    assert read.extra == {"keypoints": [10.0, 10.0, 2.0, 30.0, 20.0, 0.0]}
    with pytest.raises(BadInputError, match=r"a.txt, line 1: 10 numbers; a box and 3 keypoints"):
        one_row(tmp_path, row, "kpt_shape: [3, 3]\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0.5 0.5 1.0000001 0.5", "line 1: 1 is no share.*--clip"),
        ("0 1.5 nan 0.5 0.5", "line 1: nan is no share.*correct the row"),
        ("0 1.5 0.5 -0.2 0.5", "line 1: -0.2 is no share.*correct the row"),
        ("0 nan 0 1 0 1 2", "line 1: nan is no share.*correct the row"),
        ("\n0 -0.1 0.5 0.1 0.5", "line 2: -0.1 is no share"),
        ("0 nan 0.5 0.1 0.5", "nan is no share"),
        ("0 0.5 0.5 inf 0.5", "inf is no share"),
        ("0 0.5 0.5 0.5 0.5 nan", "confidence is no finite number"),
        ("0 0.1 0.1 0.5 0.1 0.5 nan", "nan is no share"),
        ("0 0.5 0.5 0.5", "line 1: 3 numbers after the class"),
        ("0 0.5 0.5 0.5 0.5 0.5 0.5 0.5", "7 numbers after the class"),
        ("0", "0 numbers after the class"),
        ("2 0.5 0.5 0.5 0.5", "class 2, and only 0 to 1 have names"),
        ("-1 0.5 0.5 0.5 0.5", "numbers are wanted, not '-1"),
        ("0.5 0.5 0.5 0.5 0.5", "numbers are wanted, not '0.5 0.5"),
        ("cat 0.5 0.5 0.5 0.5", "numbers are wanted, not 'cat"),
        ("0 0_5 0.5 0.5 0.5", "numbers are wanted"),
        ("0 ٠ 0.5 0.5 0.5", "numbers are wanted"),
    ],
)
def test_fact_15_bad_rows_are_refused_with_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        one_row(tmp_path, row)
    assert re.search(r"labels/train/a.txt, line \d", str(caught.value))


def test_fact_15_boxes_that_stick_out_are_cut_only_when_asked(tmp_path: Path) -> None:
    row = "0 0.95 0.5 0.2 0.4"
    assert one_row(tmp_path, row).bbox == pytest.approx((85, 15, 20, 20))
    assert one_row(tmp_path, row, clip=True).bbox == pytest.approx((85, 15, 15, 20))
    assert one_row(tmp_path, "0 0.5 0.5 1.5 0.5", clip=True).bbox == pytest.approx((0, 12.5, 100, 25))
    assert one_row(tmp_path, "0 -1 0 1 0 1 2", clip=True).segmentation == [
        [0.0, 0.0, 100.0, 0.0, 100.0, 50.0]
    ]
    exact = "0 0.1425546875 0.888 0.1 0.1"
    assert one_row(tmp_path, exact, clip=True) == one_row(tmp_path, exact)


def test_a_class_written_as_a_decimal_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    assert one_row(tmp_path, "\ufeff1.0 5e-1 .5 1 1\r\n").category == 1


def test_fact_16_names_come_back_as_they_were(tmp_path: Path) -> None:
    names = [
        "no",
        "on",
        "1",
        "null",
        "~",
        "1.0",
        "a: b",
        "# x",
        "'",
        '"',
        "\\n",
        "é🦊",
        "y" * 500,
        " pad ",
        "2020-01-01",
    ]
    names += ["\x85", "\ufeff", "\x07", "a\nb", "[", "!!python/name:x"]
    write_all(tmp_path / "out", Header([Category(name) for name in names]), [])
    header, _ = read_all(tmp_path / "out")
    assert [category.name for category in header.categories] == names
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))["names"] == names


def test_fact_16_unquoted_names_are_not_truths_or_numbers(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"data.yaml": "train: images/train\nval: images/train\nnames: [no, on, 1, 1.0, 0x10, 2020-01-01]\n"},
    )
    put(tmp_path, {"labels/train/a.txt": "5 .5 .5 1 1"})
    header, reads = read_all(tmp_path, **sized())
    assert [category.name for category in header.categories] == ["no", "on", "1", "1.0", "0x10", "2020-01-01"]
    assert reads[0].rows == ["2020-01-01 .5 .5 1 1"]


def test_fact_03_crowds_are_left_out_and_nothing_is_written_in_their_place(tmp_path: Path) -> None:
    box = (1.0, 1.0, 2.0, 2.0)
    item = Item(
        "a.jpg", [Annotation(0, box, crowd=True), Annotation(1, box, crowd=False)], width=10, height=10
    )
    _, written = write_all(tmp_path / "out", Header([Category("cat"), Category("dog")]), [item])
    assert written == [("labels/all/a.txt", [None, "dog 0.2 0.2 0.2 0.2"], "")]
    assert (tmp_path / "out/labels/all/a.txt").read_text() == "1 0.2 0.2 0.2 0.2\n"
    assert Feature.CROWD not in FORMAT.holds


def test_masks_polygons_turned_boxes_and_boxes_outside(tmp_path: Path) -> None:
    polygon = [[0.0, 0.0, 10.0, 0.0, 10.0, 5.0]]
    item = Item(
        "a.jpg",
        [
            Annotation(0, (1.0, 1.0, 2.0, 2.0), segmentation=polygon),
            Annotation(0, segmentation=polygon),
            Annotation(0, segmentation=polygon * 2),
            Annotation(0, (6.0, 1.0, 2.0, 4.0), rotation=90.0),
            Annotation(0, (0.0, 0.0, 10.5, 10.0)),
            Annotation(0, (20.0, 0.0, 5.0, 5.0)),
        ],
        width=10,
        height=10,
    )
    losses, written = write_all(tmp_path / "out", Header([Category("cat")]), [item])
    assert [(loss.code, loss.count) for loss in losses.rows()] == [
        ("annotations_without_box_dropped", 1),
        ("boxes_clipped", 1),
        ("boxes_outside_image_dropped", 1),
        ("segmentation_dropped", 1),
    ]
    rows = written[0][1]  # type: ignore[index]
    assert rows[0] == "cat 0.2 0.2 0.2 0.2"
    assert rows[1] == "cat 0.0 0.0 1.0 0.0 1.0 0.5"
    assert rows[2] is None
    assert [float(token) for token in rows[3].split()[1:]] == pytest.approx([0.4, 0.2, 0.4, 0.2])
    assert rows[4] == "cat 0.5 0.5 1.0 1.0"
    assert rows[5] is None
    assert len(read_all(tmp_path / "out", **sized(10, 10))[1][0].item.annotations) == 4


def test_two_splits_may_have_images_of_one_name(tmp_path: Path) -> None:
    put(tmp_path, {"data.yaml": YAML, "labels/train/1.txt": "0 .5 .5 1 1", "labels/val/1.txt": ""})
    assert [read.item.name for read in read_all(tmp_path, **sized())[1]] == ["images/train/1", "images/val/1"]


def test_paths_are_rebased_both_ways(tmp_path: Path) -> None:
    write_all(tmp_path / "out", Header([Category("cat")]), [Item("a.jpg")], rebase_paths="/data/set")
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["path"] == "/data/set"
    assert FORMAT.read(tmp_path / "out", Options(rebase_paths="/data/set/")).rebased
    put(
        tmp_path / "in",
        {
            "data.yaml": "train: train.txt\nval: train.txt\nnames: [cat]\n",
            "train.txt": "/data/set/images/s/a.jpg\n",
            "labels/s/a.txt": "0 .5 .5 1 1",
        },
    )
    reading = FORMAT.read(tmp_path / "in", Options(rebase_paths="/data/set", known_size=lambda _: (10, 10)))
    assert [read.item.name for read in reading.reads()] == ["s/a.jpg"]
    assert reading.rebased


@pytest.mark.parametrize("part", ["val", "train"])
def test_fact_14_boxes_of_real_coco_are_exact_without_the_side_car(
    tmp_path: Path, shared_cases: Path, part: str
) -> None:
    source = shared_cases / "tiny-coco" / f"instances_{part}2017.json"
    FormatConverter().convert(
        input_path=source, input_format="coco", output_path=tmp_path / "out", output_format="yolo"
    )
    (tmp_path / "out/hiveguard.jsonl").unlink()
    coco = json.loads(source.read_text())
    names = {one["id"]: one["name"] for one in coco["categories"]}
    stems = {one["id"]: one["file_name"].removesuffix(".jpg") for one in coco["images"]}
    sizes = {f"labels/all/{stems[one['id']]}.txt": (one["width"], one["height"]) for one in coco["images"]}
    header, reads = read_all(tmp_path / "out", known_size=sizes.get)
    assert [category.name for category in header.categories] == list(names.values())
    wanted = sorted(
        (stems[one["image_id"]], names[one["category_id"]], one["bbox"])
        for one in coco["annotations"]
        if not one["iscrowd"]
    )
    found = sorted(
        (read.item.name, header.categories[one.category].name, list(one.bbox or ()))
        for read in reads
        for one in read.item.annotations
    )
    assert len(reads) == len(coco["images"])
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    for now, was in zip(found, wanted, strict=True):
        assert now[2] == pytest.approx(was[2], abs=1e-9)


@MANY
@given(model=image_models(only_boxes=True))
def test_boxes_splits_and_classes_survive_without_a_side_car(
    tmp_path_factory: pytest.TempPathFactory, model: tuple[Header, list[Item]]
) -> None:
    header, items = model
    target = tmp_path_factory.mktemp("yolo")
    losses, written = write_all(target, header, items)
    assert not losses
    sizes = {one[0]: (item.width, item.height) for one, item in zip(written, items, strict=True)}  # type: ignore[index]
    found, reads = read_all(target, known_size=sizes.get)
    assert [category.name for category in found.categories] == [
        category.name for category in header.categories
    ]
    by_file = {read.file: read for read in reads}
    assert by_file.keys() == sizes.keys()
    for (file, rows, about), item in zip(written, items, strict=True):  # type: ignore[misc]
        read = by_file[file]
        assert (read.rows, read.about, read.item.split) == (rows, about, item.split)
        for was, now in zip(item.annotations, read.item.annotations, strict=True):
            assert now.category == was.category
            assert now.bbox == pytest.approx(was.bbox, abs=1e-9)


@settings(MANY, max_examples=40)
@given(model=image_models())
def test_everything_survives_with_a_side_car(
    tmp_path_factory: pytest.TempPathFactory, model: tuple[Header, list[Item]]
) -> None:
    there_and_back(tmp_path_factory.mktemp("yolo"), *model, "yolo")


def edited(tmp_path: Path, edit: Callable[[Path], object]) -> list[Item]:
    """What comes back of an item of two boxes, once its folder was worked on."""
    header = Header([Category("cat", 7), Category("dog", 9)])
    boxes = [
        Annotation(1, (0.3, 0.6, 1.1, 0.7), id=12, crowd=False, extra={"note": [1]}),
        Annotation(0, (0.0, 0.0, 3.0, 2.0), id=11, crowd=True),
    ]
    write(JSONL, tmp_path / "given.jsonl", header, [Item("s/a.jpg", boxes, id=5, width=3, height=2)])
    convert = FormatConverter().convert
    convert(
        input_path=tmp_path / "given.jsonl",
        input_format="jsonl",
        output_path=tmp_path / "yolo",
        output_format="yolo",
    )
    edit(tmp_path / "yolo")
    convert(
        input_path=tmp_path / "yolo",
        input_format="yolo",
        output_path=tmp_path / "back.jsonl",
        output_format="jsonl",
    )
    return read(JSONL, tmp_path / "back.jsonl")[1]


def test_image_files_put_in_their_place_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()
    untouched = edited(tmp_path / "without", lambda _: None)
    with_images = edited(
        tmp_path / "with", lambda root: put(root, {"images/all/s/a.jpg": picture("upright.jpg")})
    )
    assert with_images == untouched
    assert [one.id for one in untouched[0].annotations] == [12, 11]


def test_a_row_that_was_added_is_taken_and_the_others_are_restored(tmp_path: Path) -> None:
    def add(root: Path) -> None:
        path = root / "labels/all/s/a.txt"
        path.write_text("0 0.5 0.5 1 1\n" + path.read_text())

    (item,) = edited(tmp_path, add)
    assert (item.id, [one.id for one in item.annotations]) == (5, [12, 11, None])
    assert item.annotations[0].bbox == (0.3, 0.6, 1.1, 0.7)
    assert (item.annotations[2].category, item.annotations[2].bbox) == (0, (0.0, 0.0, 3.0, 2.0))


def test_a_row_that_was_taken_away_is_gone_and_the_crowd_stays(tmp_path: Path) -> None:
    (item,) = edited(tmp_path, lambda root: (root / "labels/all/s/a.txt").write_text(""))
    assert [one.id for one in item.annotations] == [11]
