"""CSV: one row an annotation, our columns and those of other tools."""

import csv
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.csv.columns import COLUMNS
from hiveguard_pipeline.formats.csv.format import FORMAT
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item

from .any_model import models, read, write

HEADER = Header([Category("01"), Category("NA")])


def held(items: list[Item], header: Header, known: Header) -> list[Item]:
    """Items as CSV holds them, with the places that classes have in another header."""
    places = {category.name: place for place, category in enumerate(known.categories)}
    where = [places.get(category.name, -1) for category in header.categories]
    return [
        replace(
            item,
            labels=tuple(where[label] for label in item.labels),
            extra={},
            annotations=[
                replace(one, category=where[one.category], segmentation=None, order=None, extra={})
                for one in item.annotations
            ],
        )
        for item in items
    ]


def has_a_place(one: Annotation) -> bool:
    rest = (one.bbox, one.span, one.rotation, one.id, one.area, one.crowd, one.score, one.annotator)
    return any(value is not None for value in rest)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=models())
def test_what_csv_holds_comes_back(model: tuple[Header, list[Item]], tmp_path: Path) -> None:
    header, items = model
    assume(all(has_a_place(one) for item in items for one in item.annotations))
    assume(all(one.span is None or item.text is not None for item in items for one in item.annotations))
    assert not write(FORMAT, tmp_path / "items.csv", header, items)
    reading, back = read(FORMAT, tmp_path / "items.csv")
    assert back == held(items, header, reading.header)


def test_text_is_text_and_items_without_annotations_keep_a_row(tmp_path: Path) -> None:
    items = [
        Item("a.jpg", [Annotation(1, (0.1, 0.2, 3.0, 4.0), score=0.5)], labels=(0,), id="007"),
        Item("empty.jpg", reviewed=True, width=3, height=4),
        Item("t", [Annotation(0, span=(0, 2))], text='01, "NA"\r\nnull'),
    ]
    write(FORMAT, tmp_path / "items.csv", HEADER, items)
    with (tmp_path / "items.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["item"], row["label"]) for row in rows] == [
        ("a.jpg", "01"),
        ("a.jpg", "NA"),
        ("empty.jpg", ""),
        ("t", "01"),
    ]
    assert (rows[1]["x"], rows[1]["width"], rows[2]["reviewed"]) == ("0.1", "3.0", "true")
    reading, back = read(FORMAT, tmp_path / "items.csv")
    assert (reading.header, back) == (HEADER, items)


def test_rows_of_other_tools(tmp_path: Path) -> None:
    (tmp_path / "tf.csv").write_text(
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,640,480,cat,10,20,110.5,220\n"
        "b.jpg,100,100,dog,0,0,5,5\na.jpg,640,480,dog,1,2,3,4\n"
    )
    reading, back = read(FORMAT, tmp_path / "tf.csv")
    assert [one.name for one in reading.header.categories] == ["cat", "dog"]
    assert back == [
        Item(
            "a.jpg", [Annotation(0, (10, 20, 100.5, 200)), Annotation(1, (1, 2, 2, 2))], width=640, height=480
        ),
        Item("b.jpg", [Annotation(1, (0, 0, 5, 5))], width=100, height=100),
    ]
    (tmp_path / "texts.csv").write_text("\ufefftext,label\ngood,pos\n\nbad,neg\ngood,pos\n")
    _, back = read(FORMAT, tmp_path / "texts.csv")
    assert [(one.text, one.labels, one.name) for one in back] == [
        ("good", (1,), "2"),
        ("bad", (0,), "4"),
        ("good", (1,), "5"),
    ]


def test_the_order_of_rows_changes_nothing_but_the_order(tmp_path: Path) -> None:
    items = [
        Item(f"{n}", [Annotation(n % 2, (float(n), 0.0, 1.0, float(k)), id=k) for k in range(5)], text="a\nb")
        for n in range(20)
    ]
    write(FORMAT, tmp_path / "in.csv", HEADER, items)
    with (tmp_path / "in.csv").open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    random.Random(7).shuffle(rows)
    with (tmp_path / "mixed.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    _, back = read(FORMAT, tmp_path / "mixed.csv")
    for item in back:
        item.annotations.sort(key=lambda one: one.id)
    assert sorted(back, key=lambda one: int(one.name)) == items


def test_an_annotation_of_which_a_row_says_nothing_is_counted(tmp_path: Path) -> None:
    losses = write(FORMAT, tmp_path / "x.csv", HEADER, [Item("a", [Annotation(0)])])
    assert [(one.code, one.count) for one in losses.rows()] == [("placeless_annotations_dropped", 1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("item,label,x,y,width,height\na,cat,1,2,nan,4\n", "line 2: width: a finite number"),
        ("item,label,x,y,width,height\na,cat,1,2,-3,4\n", "line 2: a box of width -3"),
        ("item,label,x,y,width,height\na,cat,1,2,,4\n", "line 2: width is empty"),
        ("item,label,x,y,width,height\na,cat,1,2,1e300,4\n", "line 2: a box"),
        ("item,label,x,y,width,height\na,cat,1_0,2,3,4\n", "line 2: x: a number"),
        ("item,label,xmin,ymin,xmax,ymax\na,cat,5,5,4,6\n", "line 2: a box of width -1"),
        ("item,label,start,end\na,cat,3,\n", "line 2: start and end"),
        ("text,label,start,end\nabc,cat,1,4\n", "line 2: span 1 to 4"),
        ("item,label,x\n,cat,1\n", "line 2: the item has no name"),
        ("item,label\na,cat,1\n", "line 2: 3 values, and the header has 2"),
        ('item,label\na,"cat\n', "line 2: not CSV"),
        ("item,label,item\n", "the column 'item' stands there twice"),
        ("label,x\ncat,1\n", "no column names the item"),
        ("", "the file is empty"),
        ("item,label,x,y,width,height\na,,1,2,3,4\n", "line 2: a box, a span or a score without a label"),
        ("item,label,split\na,cat,val\n", "line 2: split"),
        (
            "image,xc,yc,w,h,labels\na.jpg,1,2,3,4,cat\n",
            "no column says a label.*'xc, yc, w, h, labels'.*label",
        ),
        ("filename,file_size,region_shape_attributes\na.jpg,1,{}\n", "no column says a label"),
        ("item,label,image_width\na,cat,100\na,,\na,dog,200\n", "line 4: image_width: 200 .* 100 in line 2"),
        ("item,label,split\na,cat,\na,cat,test\na,dog,train\n", "line 4: split: 'train' .* in line 3"),
        ("item,label\nb,cat\n../../a.jpg,cat\n", r"line 3: .*\.\."),
        ("item,label\n/etc/../a.jpg,cat\n", "line 2: .*absolute.*--rebase-paths"),
        ("item,label\nC:\\data\\a.jpg,cat\n", "line 2: .*absolute"),
        ("item,label\na\x00.jpg,cat\n", "line 2: .*control character"),
        ("item,label,image_width\na,cat,3000000000\n", r"line 2: image_width: .* 2\*\*31"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(BadInputError, match=rf"bad\.csv.*{told}"):
        read(FORMAT, tmp_path / "bad.csv")


def test_columns_that_mean_nothing_to_us_are_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        "image,label,xmin,ymin,w,id,\na.jpg,cat,1,,3,,0\na.jpg,dog,,,4,7,0\na.jpg,,,,,,1\n"
    )
    _, back = read(FORMAT, tmp_path / "x.csv")
    # Half of the edges of a box are no box.
    said = {"xmin": "1", "w": ["3", "4"], "column 7": ["0", "1"], "id": "7"}
    assert back == [Item("a.jpg", labels=(0, 1), extra={"csv": said})]
    (tmp_path / "y.csv").write_text("image,label,score,occluded\na.jpg,cat,0.5,yes\na.jpg,cat,0.6,\n")
    _, back = read(FORMAT, tmp_path / "y.csv")
    annotations = [Annotation(0, score=0.5, extra={"csv": {"occluded": "yes"}}), Annotation(0, score=0.6)]
    assert back == [Item("a.jpg", annotations)]


def test_a_root_is_taken_off_absolute_names_of_images(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("image,label\n/srv/img/a.jpg,cat\nb.jpg,cat\na.jpg,dog\n")
    reading, back = read(FORMAT, path, rebase_paths="/srv/img")
    assert reading.rebased
    assert back == [Item("a.jpg", labels=(0, 1)), Item("b.jpg", labels=(0,))]
    with pytest.raises(BadInputError, match=r"x\.csv, line 2: .*does not lie below /srv/other"):
        read(FORMAT, path, rebase_paths="/srv/other")
    path.write_text("item,label,text\n/a/../b,cat,hello\n")
    reading, back = read(FORMAT, path, rebase_paths="/a")
    assert (reading.rebased, back[0].name) == (False, "/a/../b")


def test_what_is_no_text_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"item,label\na,b\nc,\xff\n")
    with pytest.raises(BadInputError, match=r"bad\.csv, line 3: not UTF-8 text \(byte 2\)"):
        read(FORMAT, tmp_path / "bad.csv")
