"""Pascal VOC from strangers: refused with the file and what is wrong, and nothing else happens."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.convert import FormatConverter
from hiveguard_pipeline.formats.format import Options, Read
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.voc import FORMAT
from tests.formats.mutations import mutated, shortened
from tests.formats.test_voc import DEVKIT, boxed, put, read_all, write_all, xml

LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<annotation><filename>&b;</filename></annotation>"
)


@pytest.mark.parametrize(
    "content",
    [
        LAUGHS,
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">' + xml(""),
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + xml("&x;"),
        "<!DOCTYPE annotation>" + xml(""),
        LAUGHS.encode("utf-16"),
        ('<?xml version="1.0" encoding="utf-16"?>' + LAUGHS).encode("utf-16-le"),
    ],
    ids=["laughs", "external DTD", "external entity", "plain", "UTF-16", "UTF-16 without a mark"],
)
def test_fact_12_a_doctype_is_refused_in_every_encoding(tmp_path: Path, content: str | bytes) -> None:
    put(tmp_path, {"Annotations/s/a.xml": content})
    with pytest.raises(
        BadInputError, match=r"Annotations/s/a.xml: (holds a DOCTYPE|not well-formed|its text)"
    ):
        read_all(tmp_path)


def test_fact_12_a_doctype_in_another_encoding_is_not_passed_on_either(tmp_path: Path) -> None:
    body = "<!DOCTYPE a [<!ENTITY x 'y'>]><annotation><filename>&x;.jpg</filename></annotation>"
    put(tmp_path, {"a.xml": b'<?xml version="1.0" encoding="cp500"?>' + body.encode("cp500")})
    with pytest.raises(BadInputError, match=r"a.xml: "):
        read_all(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not well-formed XML"),
        ("<annotation>", "not well-formed XML: no element found"),
        (DEVKIT[: len(DEVKIT) // 2], "not well-formed XML"),
        ("<annotation>&nbsp;</annotation>", "undefined entity"),
        ("\x00\x01\x02", "not well-formed XML"),
        (b"<annotation><filename>\xff</filename></annotation>", "not well-formed XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "decoded|unknown encoding"),
        ("<svg/>", "outermost element is <svg>"),
        (xml("<object/>"), "object 1: it has no name"),
        (xml("<object><name/></object>"), "object 1: it has no name"),
        (
            xml(boxed() + "<object><name>cat</name><bndbox/></object>"),
            r"object 2 \(cat\): its bndbox has no xmin",
        ),
        (xml(boxed().replace("</object>", "<bndbox/></object>")), "2 elements <bndbox>"),
        (xml(boxed().replace("</object>", "<part/></object>")), "part 1: it has no bndbox"),
        (xml("<size/><size/>"), "2 elements <size>"),
        (xml(boxed("nan")), "xmin: a number"),
        (xml(boxed("inf")), "xmin: a number"),
        (xml(boxed("1_0")), "xmin: a number"),
        (xml(boxed("")), "xmin: a number"),
        (xml(boxed("cat")), "xmin: a number within .* not 'cat'"),
        (xml(boxed("3000000000", 1, "3000000001")), "xmin: a number within"),
        (xml(boxed(10, 1, 5)), r"object 1 \(cat\): the box ends \(5, 9\) before it begins \(10, 1\)"),
        (xml("<size><width>-5</width></size>"), "size/width: whole pixels"),
        (xml("<size><height>1.5</height></size>"), "size/height: whole pixels"),
        (xml("<size><height>2147483648</height></size>"), "size/height: "),
        (xml("<size><height>nan</height></size>"), "size/height: a number"),
        (xml("", "../a.jpg"), "filename: .*holds an empty part, `.` or `..`"),
        (xml("", "/etc/passwd"), "filename: .*is an absolute path"),
        (xml("", "C:a.jpg"), "filename: .*is an absolute path"),
        (xml("", "s\\a.jpg"), "filename: .*backslash"),
        (xml("", "a\tb.jpg"), "filename: .*control character"),
        (xml("", "a" * 2000), "longer than"),
        (xml("<x>" * 200 + "</x>" * 200), "nested more than 100 levels"),
        (xml(boxed().replace("</object>", "<x>" * 200 + "</x>" * 200 + "</object>")), "nested more than"),
        (xml("<x>" * 400_000 + "</x>" * 400_000), "nested more than 100 levels"),
        (" " * (17 << 20), "more than 16 MB"),
        (xml("<a/>" * 1_000_000), "more than 1,000,000 tags"),
    ],
    ids=shortened,
)
def test_bad_files_are_refused_with_the_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    put(tmp_path, {"Annotations/s/b.xml": content})
    with pytest.raises(BadInputError, match=message) as caught:
        read_all(tmp_path)
    assert f"{tmp_path}/Annotations/s/b.xml" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"Annotations/a.xml": xml(""), "Annotations/b.xml": xml(""), "Annotations/c.xml": xml("", "c.jpg")},
    )
    with pytest.raises(
        BadInputError, match=r"Annotations/b.xml: the image a.jpg is that of Annotations/a.xml already"
    ):
        read_all(tmp_path)


def test_no_annotations_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no Annotations/ here, and no XML file below"):
        read_all(tmp_path)
    with pytest.raises(BadInputError, match="there is no such file or folder"):
        read_all(tmp_path / "nowhere")


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, {"out/secret.xml": xml(boxed(name="secret")), "in/Annotations/a.xml": xml("")})
    os.symlink(tmp_path / "out", tmp_path / "in/Annotations/c")
    os.symlink(tmp_path / "in", tmp_path / "in/Annotations/loop")
    header, reads = read_all(tmp_path / "in")
    assert [read.file for read in reads] == ["Annotations/a.xml"]
    assert header.categories == []
    os.symlink(tmp_path / "out/secret.xml", tmp_path / "in/Annotations/b.xml")
    with pytest.raises(BadInputError, match=r"Annotations/+b.xml: a link that leads out of .*/in; "):
        read_all(tmp_path / "in")


def test_links_that_stay_in_the_folder_are_read(tmp_path: Path) -> None:
    put(tmp_path, {"store/a.xml": xml(boxed()), "Annotations/b.xml": xml("", "b.jpg")})
    os.symlink("../store/a.xml", tmp_path / "Annotations/a.xml")
    for folder in (tmp_path, tmp_path / "Annotations"):
        assert [read.item.name for read in read_all(folder)[1]] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink(path, path)])
def test_what_is_named_xml_and_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "Annotations").mkdir()
    make(tmp_path / "Annotations/a.xml")
    with pytest.raises(BadInputError, match=r"Annotations/+a.xml: no plain file"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "/a.jpg",
        "C:/a.jpg",
        "a\\b.jpg",
        "a\0.jpg",
        "a//b.jpg",
        "./a.jpg",
        ".a.jpg",
        "s/.t/a.jpg",
        "",
    ],
)
def test_items_with_unsafe_names_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError):
        write_all(tmp_path / "out", Header([]), [Item(name)])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_images_of_one_stem_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    coco = (
        '{"images": [{"id": 1, "file_name": "s/a.jpg", "width": 9, "height": 9}, '
        '{"id": 2, "file_name": "s/a.png", "width": 9, "height": 9}], "annotations": [], "categories": []}'
    )
    put(tmp_path, {"coco.json": coco})
    for kind in ("voc", "yolo"):
        with pytest.raises(
            BadInputError, match=r"s/a.png: its file '.*s/a\.(xml|txt)' is that of another item"
        ):
            FormatConverter().convert(
                input_path=tmp_path / "coco.json",
                input_format="coco",
                output_path=tmp_path / "out",
                output_format=kind,
            )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["coco.json"]


@pytest.mark.parametrize("name", ["", "a\0b", "\x0b", "\ud800", "\ufffe"])
def test_classes_that_xml_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="control characters, which XML cannot; rename it"):
        write_all(tmp_path / "out", Header([Category(name)]), [])


def test_a_box_that_would_be_read_as_counted_from_zero_is_refused(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(0, (-1.0, 5.0, 3.0, 3.0), id=7)])
    with pytest.raises(BadInputError, match=r"a.jpg: annotation 7: .*--voc-origin 0"):
        write_all(tmp_path / "one", Header([Category("cat")]), [item])
    write_all(tmp_path / "zero", Header([Category("cat")]), [item], voc_origin=0)
    assert read_all(tmp_path / "zero", voc_origin=0)[1][0].item.annotations[0].bbox == (-1.0, 5.0, 3.0, 3.0)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=mutated(DEVKIT.encode()) | mutated(xml(boxed() * 2).encode()) | st.binary(max_size=60),
    lists=mutated(b"a\nb\n"),
    label_map=mutated(b"cat:1,2,3::\ndog:::\n"),
    origin=st.sampled_from([0, 1]),
)
def test_fuzz_nothing_but_bad_input_comes_out(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, lists: bytes, label_map: bytes, origin: int
) -> None:
    root = tmp_path_factory.mktemp("voc")
    put(
        root,
        {
            "Annotations/s/a.xml": content,
            "Annotations/b.xml": xml("", "b.jpg"),
            "ImageSets/Main/train.txt": lists,
            "labelmap.txt": label_map,
        },
    )
    try:
        header, reads = read_all(root, voc_origin=origin)
    except BadInputError as error:
        refused = str(error)
    else:
        write_again(root, header, reads)
        return
    assert str(root) in refused


def write_again(root: Path, header: Header, reads: list[Read]) -> None:
    """What was taken can be written, and is then taken again."""
    (root / "again").mkdir()
    try:
        list(
            FORMAT.write(
                header,
                iter([read.item for read in reads]),
                root / "again",
                Options(voc_origin=0),
                Losses(),
            )
        )
    except BadInputError:
        return
    assert len(read_all(root / "again", voc_origin=0)[1]) == len(reads)
