"""Pascal VOC: what its files say, what is written, and what comes back."""

import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.convert import FormatConverter
from hiveguard_pipeline.formats.format import Feature, Options, Read, Written
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.voc import FORMAT
from tests.formats.image_models import image_models, there_and_back
from tests.formats.pictures import picture

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

DEVKIT = """<annotation>
	<folder>VOC2012</folder>
	<filename>2007_000027.jpg</filename>
	<source>
		<database>The VOC2007 Database</database>
		<annotation>PASCAL VOC2007</annotation>
		<image>flickr</image>
	</source>
	<size>
		<width>486</width>
		<height>500</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
	<object>
		<name>person</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>1</difficult>
		<occluded>0</occluded>
		<bndbox>
			<xmin>174</xmin>
			<ymin>101</ymin>
			<xmax>349</xmax>
			<ymax>351</ymax>
		</bndbox>
		<part>
			<name>head</name>
			<bndbox>
				<xmin>169</xmin>
				<ymin>104</ymin>
				<xmax>209</xmax>
				<ymax>146</ymax>
			</bndbox>
		</part>
		<part>
			<name>hand</name>
			<bndbox>
				<xmin>278</xmin>
				<ymin>210</ymin>
				<xmax>297</xmax>
				<ymax>233</ymax>
			</bndbox>
		</part>
		<actions>
			<jumping>0</jumping>
			<other>1</other>
		</actions>
	</object>
</annotation>
"""
"""2007_000027.xml as the devkit of VOC2012 has it, with an action, which other files of it carry."""


def boxed(xmin: object = 1, ymin: object = 1, xmax: object = 9, ymax: object = 9, name: str = "cat") -> str:
    return (
        f"<object><name>{name}</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax>"
        f"<ymax>{ymax}</ymax></bndbox></object>"
    )


def xml(inside: str, filename: str = "a.jpg") -> str:
    return f"<annotation><filename>{filename}</filename>{inside}</annotation>"


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


def write_all(
    target: Path, header: Header, items: list[Item], **options: object
) -> tuple[Losses, list[Written]]:
    target.mkdir(exist_ok=True)
    losses = Losses()
    written = list(FORMAT.write(header, iter(items), target, Options(**options), losses))  # type: ignore[arg-type]
    assert [one.item for one in written] == items
    return losses, written


def only_item(tmp_path: Path, content: str, **options: object) -> Item:
    put(tmp_path, {"Annotations/a.xml": content})
    return read_all(tmp_path, **options)[1][0].item


def test_fact_09_the_devkit_counts_from_one_and_holds_the_last_pixel(tmp_path: Path) -> None:
    item = only_item(tmp_path, DEVKIT)
    assert item.annotations[0].bbox == (173.0, 100.0, 176.0, 251.0)
    assert only_item(tmp_path, xml(boxed(5, 5, 5, 5))).annotations[0].bbox == (4.0, 4.0, 1.0, 1.0)
    whole = only_item(tmp_path, xml(boxed(1, 1, 486, 500))).annotations[0].bbox
    assert whole == (0.0, 0.0, 486.0, 500.0), "xmax == width: 81 of 273 boxes of the devkit are so"


def test_fact_09_origin_zero_takes_the_numbers_as_they_are(tmp_path: Path) -> None:
    assert only_item(tmp_path, DEVKIT, voc_origin=0).annotations[0].bbox == (174.0, 101.0, 175.0, 250.0)
    assert only_item(tmp_path, xml(boxed(0, 0, 3, 4)), voc_origin=0).annotations[0].bbox == (0, 0, 3, 4)


@pytest.mark.parametrize(("numbers", "corner"), [((0, 5, 9, 9), "xmin"), ((5, "0.0", 9, 9), "ymin")])
def test_fact_09_a_zero_proves_that_counting_begins_there(
    tmp_path: Path, numbers: tuple[object, ...], corner: str
) -> None:
    with pytest.raises(BadInputError, match=rf"a.xml: object 1 \(cat\): {corner} is 0, .*--voc-origin 0"):
        only_item(tmp_path, xml(boxed(*numbers)))


@pytest.mark.parametrize("origin", [0, 1])
def test_fact_09_what_is_written_from_an_origin_is_read_from_it(tmp_path: Path, origin: int) -> None:
    box = (58.06, 378.14, 66.35, 96.42)
    item = Item("a.jpg", [Annotation(0, box)])
    write_all(tmp_path, Header([Category("cat")]), [item], voc_origin=origin)
    text = (tmp_path / "Annotations/a.xml").read_text()
    assert f"<xmin>{58.06 + origin!r}</xmin>" in text
    assert f"<xmax>{58.06 + 66.35!r}</xmax>" in text
    assert read_all(tmp_path, voc_origin=origin)[1][0].item.annotations[0].bbox == pytest.approx(
        box, abs=1e-12
    )


def test_fact_10_decimals_and_whole_numbers_are_read(tmp_path: Path) -> None:
    item = only_item(tmp_path, xml(boxed("1.5", " 2 ", "1e1", "10.25")))
    assert item.annotations[0].bbox == (0.5, 1.0, 9.5, 9.25)


def test_fact_10_whole_numbers_are_written_when_asked_and_counted(tmp_path: Path) -> None:
    boxes = [(10.0, 20.0, 30.0, 40.0), (10.4, 20.6, 30.2, 40.2), (0.1, 0.1, 0.2, 0.2)]
    item = Item("a.jpg", [Annotation(0, box) for box in boxes])
    losses, _ = write_all(tmp_path, Header([Category("cat")]), [item], voc_int=True)
    assert [(loss.code, loss.count, loss.example) for loss in losses.rows()] == [
        ("coordinates_rounded", 2, "a.jpg: annotation 2")
    ]
    read = read_all(tmp_path)[1][0].item
    assert [one.bbox for one in read.annotations] == [(10, 20, 30, 40), (10, 21, 31, 40), (0, 0, 1, 1)]
    text = (tmp_path / "Annotations/a.xml").read_text()
    assert "." not in "".join(line for line in text.splitlines() if "min>" in line or "max>" in line)


def test_fact_11_what_the_devkit_says_is_kept(tmp_path: Path) -> None:
    item = only_item(tmp_path, DEVKIT)
    assert (item.name, item.width, item.height) == ("2007_000027.jpg", 486, 500)
    assert item.extra == {
        "folder": "VOC2012",
        "source": {
            "database": "The VOC2007 Database",
            "annotation": "PASCAL VOC2007",
            "image": "flickr",
        },
        "depth": 3,
        "segmented": 0,
    }
    assert item.annotations[0].extra == {
        "pose": "Unspecified",
        "truncated": 0,
        "difficult": 1,
        "occluded": 0,
        "part": [
            {"name": "head", "bbox": [168.0, 103.0, 41.0, 43.0]},
            {"name": "hand", "bbox": [277.0, 209.0, 20.0, 24.0]},
        ],
        "actions": {"jumping": "0", "other": "1"},
    }


@pytest.mark.parametrize("origin", [0, 1])
def test_fact_11_the_devkit_s_file_comes_back_as_it_was(tmp_path: Path, origin: int) -> None:
    header, reads = read_all(put(tmp_path / "in", {"Annotations/2007_000027.xml": DEVKIT}), voc_origin=origin)
    losses, written = write_all(tmp_path / "out", header, [read.item for read in reads], voc_origin=origin)
    assert not losses

    def lines(path: Path) -> list[str]:
        return sorted(path.read_text().splitlines())

    file = "Annotations/2007_000027.xml"
    assert lines(tmp_path / "out" / file) == lines(tmp_path / "in" / file)
    again = read_all(tmp_path / "out", voc_origin=origin)
    assert (again[0], again[1][0].item) == (header, reads[0].item)
    assert (again[1][0].rows, again[1][0].about) == (written[0].rows, written[0].about)


def test_fact_11_names_with_spaces_and_xml_specials(tmp_path: Path) -> None:
    names = ["dining table", "<&>\"'", " padded ", "a\nb", "a\rb", "\t", "🦊", "]]>", "&amp;"]
    items = [Item("a & b <c>.jpg", [Annotation(place, (1.0, 1.0, 2.0, 2.0)) for place in range(len(names))])]
    write_all(tmp_path, Header([Category(name) for name in names]), items)
    header, reads = read_all(tmp_path)
    assert reads[0].item.name == "a & b <c>.jpg"
    assert [header.categories[one.category].name for one in reads[0].item.annotations] == names


def test_fact_11_sub_directories_are_mirrored_and_splits_listed(tmp_path: Path) -> None:
    items = [
        Item("s/a.jpg", split="train"),
        Item("s/deep er/b.c.png", split="validation"),
        Item("🦊.jpg", split="test"),
        Item("d.jpg"),
    ]
    write_all(tmp_path, Header([Category("cat")]), items)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == [
        "Annotations/d.xml",
        "Annotations/s/a.xml",
        "Annotations/s/deep er/b.c.xml",
        "Annotations/🦊.xml",
        "ImageSets/Main/default.txt",
        "ImageSets/Main/test.txt",
        "ImageSets/Main/train.txt",
        "ImageSets/Main/val.txt",
        "labelmap.txt",
    ]
    assert (tmp_path / "ImageSets/Main/val.txt").read_text() == "s/deep er/b.c\n"
    found = {read.item.name: read.item.split for read in read_all(tmp_path)[1]}
    assert found == {item.name: item.split for item in items}


def test_fact_11_lists_of_the_devkit_say_the_split(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "Annotations/a.xml": xml(""),
            "Annotations/b.xml": xml("", "b.jpg"),
            "ImageSets/Main/train.txt": "b\r\n",
            "ImageSets/Main/trainval.txt": "a\nb\n",
            "ImageSets/Main/aeroplane_val.txt": "a  1\n",
        },
    )
    assert [read.item.split for read in read_all(tmp_path)[1]] == [None, "train"]
    assert [read.item.split for read in read_all(tmp_path / "Annotations")[1]] == [None, "train"]
    assert [read.item.split for read in read_all(tmp_path / "Annotations/b.xml")[1]] == ["train"]
    put(tmp_path, {"ImageSets/Main/test.txt": "b\n"})
    with pytest.raises(BadInputError, match=r"b.xml: listed under train and test in ImageSets/Main"):
        read_all(tmp_path)


def test_lists_with_a_mark_after_the_stem_say_the_split(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "Annotations/a.xml": xml(""),
            "Annotations/b 1.xml": xml("", "b 1.jpg"),
            "Annotations/b.xml": xml("", "b.jpg"),
            "ImageSets/Main/train.txt": "a  1\nb 1\n",
            "ImageSets/Main/val.txt": "b -1\n",
        },
    )
    assert {read.item.name: read.item.split for read in read_all(tmp_path)[1]} == {
        "a.jpg": "train",
        "b 1.jpg": "train",
        "b.jpg": "validation",
    }


def test_white_space_around_names_is_layout_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"Annotations/a.xml": xml(boxed() + boxed(name="\n\tcat\n"), "\n\ta.jpg\n")},
    )
    header, reads = read_all(tmp_path)
    assert header.categories == [Category("cat")]
    assert reads[0].item.name == "a.jpg"
    with pytest.raises(BadInputError, match="object 1: it has no name"):
        only_item(tmp_path / "b", xml(boxed(name=" \n")))


def test_xml_files_anywhere_and_roboflow_s_folders(tmp_path: Path) -> None:
    put(tmp_path, {"train/a.xml": xml(boxed()), "valid/a.xml": xml(boxed()), "b.xml": xml("", "b.jpg")})
    _, reads = read_all(tmp_path)
    assert [(read.file, read.item.name, read.item.split) for read in reads] == [
        ("b.xml", "b.jpg", None),
        ("train/a.xml", "train/a.jpg", "train"),
        ("valid/a.xml", "valid/a.jpg", "validation"),
    ]
    assert [read.item.name for read in read_all(tmp_path / "train/a.xml")[1]] == ["a.jpg"]


def test_labelmap_gives_the_order_of_the_classes_and_those_nobody_used(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\ndog:::\n",
            "Annotations/a.xml": xml(boxed(name="zebra") + boxed(name="ant") + boxed(name="dog")),
        },
    )
    header, _ = read_all(tmp_path)
    assert [category.name for category in header.categories] == ["cat", "dog", "ant", "zebra"]


def test_classes_that_labelmap_cannot_hold_are_counted(tmp_path: Path) -> None:
    header = Header([Category("background"), Category("cat"), Category("dog")])
    losses, _ = write_all(tmp_path / "a", header, [Item("a.jpg", [Annotation(1, (1.0, 1.0, 2.0, 2.0))])])
    assert [(loss.code, loss.count) for loss in losses.rows()] == [("unused_categories_dropped", 1)]
    losses, _ = write_all(tmp_path / "b", Header([Category("a: b"), Category("cat")]), [])
    assert [(loss.code, loss.count) for loss in losses.rows()] == [("unused_categories_dropped", 2)]
    assert not (tmp_path / "b/labelmap.txt").exists()


def test_two_classes_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(place, (1.0, 1.0, 2.0, 2.0)) for place in (0, 1)])
    write_all(tmp_path, Header([Category("cat", 1), Category("cat", 2)]), [item])
    header, reads = read_all(tmp_path)
    assert [category.name for category in header.categories] == ["cat", "cat (2)"]
    assert [one.category for one in reads[0].item.annotations] == [0, 1]


def test_what_xml_cannot_say_is_counted(tmp_path: Path) -> None:
    header = Header([Category("cat", extra={"colour": "red"})], extra={"note": "x"})
    annotation = Annotation(
        0, (1.0, 1.0, 2.0, 2.0), extra={"difficult": 1, "score": 0.5, "note": "kept", "a b": "x"}
    )
    item = Item(
        "a.jpg", [annotation], extra={"license": 3, "coco_url": "http://x", "depth": 3, "tags": ["a", "b"]}
    )
    losses, _ = write_all(tmp_path, header, [item])
    assert [(loss.code, loss.count) for loss in losses.rows()] == [("extra_keys_dropped", 5)]
    read = read_all(tmp_path)[1][0].item
    assert read.extra == {"coco_url": "http://x", "depth": 3, "tags": ["a", "b"]}
    assert read.annotations[0].extra == {
        "pose": "Unspecified",
        "truncated": 0,
        "difficult": 1,
        "note": "kept",
    }


def test_masks_without_a_box_are_counted_and_turned_boxes_get_their_envelope(tmp_path: Path) -> None:
    annotations = [
        Annotation(0, segmentation=[[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]),
        Annotation(0, (6.0, 1.0, 2.0, 4.0), rotation=90.0),
        Annotation(0),
    ]
    losses, written = write_all(tmp_path, Header([Category("cat")]), [Item("a.jpg", annotations)])
    assert [(loss.code, loss.count) for loss in losses.rows()] == [("annotations_without_box_dropped", 1)]
    assert written[0].rows[0] is None
    read = read_all(tmp_path)[1][0]
    assert read.item.annotations[0].bbox == pytest.approx((2, 1, 4, 2))
    assert read.item.annotations[1].bbox is None
    assert read.rows == [row for row in written[0].rows if row is not None]
    assert Feature.ROTATION not in FORMAT.holds


def test_a_file_that_was_only_laid_out_anew_reads_as_unchanged(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(0, (1.0, 1.0, 2.0, 2.0))], width=5, height=6)
    _, written = write_all(tmp_path, Header([Category("cat")]), [item])
    path = tmp_path / "Annotations/a.xml"
    path.write_text("<?xml version='1.0'?>" + path.read_text().replace("\n", "").replace("\t", " "))
    read = read_all(tmp_path)[1][0]
    assert (read.rows, read.about) == (written[0].rows, written[0].about)


def test_sizes_that_nobody_said_come_from_the_image_folder(tmp_path: Path) -> None:
    put(tmp_path / "pictures", {"s/a.jpg": picture("orientation_6.jpg")})
    (tmp_path / "out").mkdir()
    write_all(tmp_path / "out", Header([]), [Item("s/a.jpg"), Item("b.jpg")], image_dir=tmp_path / "pictures")
    sizes = {read.item.name: (read.item.width, read.item.height) for read in read_all(tmp_path / "out")[1]}
    assert sizes == {"s/a.jpg": (2, 3), "b.jpg": (None, None)}


def test_paths_are_rebased_both_ways(tmp_path: Path) -> None:
    write_all(tmp_path, Header([]), [Item("s/a.jpg", extra={"path": "/old/a.jpg"})], rebase_paths="/data/set")
    assert "<path>/data/set/s/a.jpg</path>" in (tmp_path / "Annotations/s/a.xml").read_text()
    assert read_all(tmp_path)[1][0].item.extra == {"path": "/data/set/s/a.jpg"}
    put(
        tmp_path,
        {"Annotations/b.xml": xml("<path>/data/set/t/b.jpg</path>", "b.jpg")},
    )
    reading = FORMAT.read(tmp_path, Options(rebase_paths="/data/set/"))
    assert [read.item.name for read in reading.reads()] == ["t/b.jpg", "s/a.jpg"]
    assert reading.rebased


@pytest.mark.parametrize("part", ["val", "train"])
@pytest.mark.parametrize("origin", [0, 1])
def test_fact_09_boxes_of_real_coco_are_exact_without_the_side_car(
    tmp_path: Path, shared_cases: Path, part: str, origin: Literal[0, 1]
) -> None:
    source = shared_cases / "tiny-coco" / f"instances_{part}2017.json"
    FormatConverter().convert(
        input_path=source,
        input_format="coco",
        output_path=tmp_path / "out",
        output_format="voc",
        options=Options(voc_origin=origin),
    )
    (tmp_path / "out/hiveguard.jsonl").unlink()
    coco = json.loads(source.read_text())
    header, reads = read_all(tmp_path / "out", voc_origin=origin)
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert [category.name for category in header.categories] == list(names.values())
    sizes = {read.item.name: (read.item.width, read.item.height) for read in reads}
    assert sizes == {one["file_name"]: (one["width"], one["height"]) for one in coco["images"]}
    files = {one["id"]: one["file_name"] for one in coco["images"]}
    wanted = sorted(
        (files[one["image_id"]], names[one["category_id"]], one["bbox"]) for one in coco["annotations"]
    )
    found = sorted(
        (read.item.name, header.categories[one.category].name, list(one.bbox or ()))
        for read in reads
        for one in read.item.annotations
    )
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    for now, was in zip(found, wanted, strict=True):
        assert now[2] == pytest.approx(was[2], abs=1e-9)


@MANY
@given(model=image_models(only_boxes=True))
def test_boxes_sizes_splits_and_classes_survive_without_a_side_car(
    tmp_path_factory: pytest.TempPathFactory, model: tuple[Header, list[Item]]
) -> None:
    header, items = model
    target = tmp_path_factory.mktemp("voc")
    losses, written = write_all(target, header, items)
    assert {loss.code for loss in losses.rows()} <= {"unused_categories_dropped"}
    found, reads = read_all(target)
    by_file = {read.file: read for read in reads}
    assert by_file.keys() == {one.file for one in written}
    for one in written:
        read, item = by_file[one.file], one.item
        assert (read.rows, read.about) == (one.rows, one.about)
        assert (read.item.name, read.item.split) == (item.name, item.split)
        assert (read.item.width, read.item.height) == (item.width, item.height)
        for was, now in zip(item.annotations, read.item.annotations, strict=True):
            assert found.categories[now.category].name == header.categories[was.category].name
            assert now.bbox == pytest.approx(was.bbox, abs=1e-9)


@settings(MANY, max_examples=40)
@given(model=image_models())
def test_everything_survives_with_a_side_car(
    tmp_path_factory: pytest.TempPathFactory, model: tuple[Header, list[Item]]
) -> None:
    there_and_back(tmp_path_factory.mktemp("voc"), *model, "voc")
