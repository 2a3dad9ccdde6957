"""The side-car: what was not edited comes back whole, what was, as it stands; no blind trust."""

import json
import os
import re
import shutil
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.convert import SIDE_CAR_IGNORED
from hiveguard_pipeline.formats.side_car.files import SIDE_CAR
from tests.formats.coco_documents import Document, annotation, convert, save, small


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`small` as a YOLO folder."""
    convert(save(tmp_path / "given.json", small()), "coco", tmp_path / "yolo", "yolo")
    return tmp_path / "yolo"


def back(folder: Path, **options: Any) -> Document:
    target = folder.parent / "back.json"
    convert(folder, "yolo", target, "coco", **options)
    found: Document = json.loads(target.read_text())
    return found


def label_file(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"labels/**/{name}.txt")
    return found


def test_an_untouched_folder_comes_back_whole(folder: Path) -> None:
    assert back(folder) == small()


def test_an_edited_row_is_taken_as_it_stands_and_the_others_are_restored(folder: Path) -> None:
    label_file(folder, "b 🦊").write_text("1 0.5 0.5 0.5 0.5\n")
    given = small()
    added = {
        "id": 10,
        "image_id": 2,
        "category_id": 1,
        "bbox": [25.0, 12.5, 50.0, 25.0],
        "area": 1250.0,
        "iscrowd": 0,
    }
    assert back(folder) == given | {"annotations": [*given["annotations"][1:], added]}


def test_rows_are_known_by_what_they_say_not_by_their_place(tmp_path: Path) -> None:
    entries = [annotation(n, 5, bbox=[n, n, 10.5, 10 + n]) for n in range(1, 6)]
    given = small(annotations=entries)
    convert(save(tmp_path / "given.json", given), "coco", tmp_path / "yolo", "yolo")
    file = label_file(tmp_path / "yolo", "a")
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join([rows[4], rows[2], rows[0]]))
    assert back(tmp_path / "yolo") == given | {"annotations": [entries[0], entries[2], entries[4]]}


def test_of_two_rows_that_are_the_same_one_can_be_taken_away(tmp_path: Path) -> None:
    given = small(annotations=[annotation(4, 5), annotation(2, 5)])
    convert(save(tmp_path / "given.json", given), "coco", tmp_path / "yolo", "yolo")
    file = label_file(tmp_path / "yolo", "a")
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    assert back(tmp_path / "yolo") == given | {"annotations": [annotation(4, 5)]}


def test_a_class_that_is_renamed_or_moved_in_data_yaml_changes_what_rows_say(folder: Path) -> None:
    described = folder / "data.yaml"
    text = described.read_text()
    assert text.index("toothbrush") < text.index("person")
    described.write_text(
        text.replace("toothbrush", "?").replace("person", "toothbrush").replace("?", "person")
    )
    given = small()
    given["annotations"][0]["category_id"], given["annotations"][1]["category_id"] = 1, 90
    assert back(folder) == given


def test_a_class_of_a_new_name_is_added(folder: Path) -> None:
    described = folder / "data.yaml"
    described.write_text(described.read_text().replace("person", "human"))
    given = small()
    given["annotations"][1]["category_id"] = 91
    given["categories"].append({"id": 91, "name": "human"})
    assert back(folder) == given


def test_files_that_are_added_come_last_and_files_that_are_gone_are_gone(
    folder: Path, tmp_path: Path
) -> None:
    label_file(folder, "a").rename(folder / "labels" / "all" / "c.txt")
    with pytest.raises(BadInputError, match="c"):  # nobody knows how large c is
        back(folder)
    (folder / "labels" / "all" / "c.txt").write_text("")
    found = back(folder)
    given = small()
    assert found["images"][:1] == given["images"][1:]
    assert found["images"][1]["id"] == 3
    assert found["images"][1]["file_name"].startswith("c")
    assert found["annotations"] == [given["annotations"][0], given["annotations"][2]]


def cut(folder: Path) -> None:
    path = folder / SIDE_CAR
    path.write_bytes(path.read_bytes()[:-40])


def changed_id(folder: Path) -> None:
    path = folder / SIDE_CAR
    path.write_text(path.read_text().replace('"id":7', '"id":8'))


def last_line_gone(folder: Path) -> None:
    path = folder / SIDE_CAR
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def no_json(folder: Path) -> None:
    (folder / SIDE_CAR).write_bytes(b"\x00\xff{")


def of_another_folder(folder: Path) -> None:
    other = folder.parent / "other"
    given = small(annotations=[annotation(n, n % 2 * 3 + 2, bbox=[n, 0.5, 1.5, 2.5]) for n in range(4)])
    convert(save(folder.parent / "other.json", given), "coco", other, "yolo")
    shutil.copy(other / SIDE_CAR, folder / SIDE_CAR)


def of_other_files(folder: Path) -> None:
    other = folder.parent / "other"
    images = [{"id": 1, "file_name": "z.jpg", "width": 9, "height": 9}]
    given = small(images=images, annotations=[annotation(1, 1)])
    convert(save(folder.parent / "other.json", given), "coco", other, "yolo")
    shutil.copy(other / SIDE_CAR, folder / SIDE_CAR)


def of_another_format(folder: Path) -> None:
    other = folder.parent / "other"
    convert(folder.parent / "given.json", "coco", other, "voc")
    shutil.copy(other / SIDE_CAR, folder / SIDE_CAR)


@pytest.mark.parametrize(
    "spoil",
    [cut, changed_id, last_line_gone, no_json, of_another_folder, of_other_files, of_another_format],
)
def test_a_side_car_that_is_not_this_folders_is_told_and_left(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    voc = tmp_path / "voc"
    convert(save(tmp_path / "given.json", small()), "coco", tmp_path / "yolo", "yolo")
    images = tmp_path / "yolo"
    spoil(images)
    # Sizes were in the side-car alone; this is what a user has to give then.
    for name in ("a.jpg", "sub dir/b 🦊.jpg"):
        path = images / "images" / "all" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(*((640, 480) if name == "a.jpg" else (100, 50))))
    with pytest.raises(BadInputError, match=SIDE_CAR_IGNORED):
        convert(images, "yolo", voc, "coco")
    assert not voc.exists()
    done = convert(images, "yolo", voc, "coco", allow_lossy=True)
    assert [(loss.code, loss.count) for loss in done.lost] == [(SIDE_CAR_IGNORED, 1)]
    found = json.loads(voc.read_text())
    boxes = sorted(tuple(one["bbox"]) for one in found["annotations"])
    assert boxes == [pytest.approx((1, 2.5, 3, 4)), pytest.approx((10.25, 20.5, 30.125, 40.1))]


def png(width: int, height: int) -> bytes:
    """A PNG of one colour, whose size readers take from its head."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


FORGED: dict[str, tuple[bytes, bytes]] = {
    "no shape": (b'"shape":', b'"shame":'),
    "a shape that is none": (b'"shape":"', b'"shape":7,"was":"'),
    "rows that are none": (b'"rows":["', b'"rows":[[],"'),
    "a size of one side": (b'"size":[640,480]', b'"size":[640]'),
    "a file that is none": (b'"file":"', b'"file":[],"was":"'),
    "a number too large": (b'"size":[640,480]', b'"size":[640,99999999999]'),
}
FORGED_ITEMS: dict[str, tuple[bytes, bytes, str]] = {
    "more rows than annotations": (b'"rows":["', b'"rows":["0","', "line 2: . rows of . annotations"),
    "a name that leads out": (b'"name":"a.jpg"', b'"name":"../../a.jpg"', r"line 2: .*`\.\.`"),
    "a name from the root": (b'"name":"a.jpg"', b'"name":"/etc/a.jpg"', "line 2: .*absolute"),
}


def forge(folder: Path, said: bytes, instead: bytes) -> None:
    """Put something else into a side-car, and the digest that it then must have."""
    path = folder / SIDE_CAR
    *lines, last = path.read_bytes().splitlines(keepends=True)
    body = b"".join(lines)
    assert said in body
    body = body.replace(said, instead, 1)
    digest = blake2b(body, digest_size=16).hexdigest()
    path.write_bytes(body + json.dumps(json.loads(last) | {"digest": digest}).encode() + b"\n")


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_side_car_is_told_and_left(folder: Path, case: str) -> None:
    forge(folder, *FORGED[case])
    with pytest.raises(BadInputError, match=rf"{SIDE_CAR_IGNORED}|{SIDE_CAR}"):
        back(folder)
    assert not (folder.parent / "back.json").exists()


@pytest.mark.parametrize("case", FORGED_ITEMS)
def test_a_forged_item_of_a_side_car_is_refused_with_its_place(folder: Path, case: str) -> None:
    said, instead, message = FORGED_ITEMS[case]
    forge(folder, said, instead)
    with pytest.raises(BadInputError, match=rf"{re.escape(str(folder / SIDE_CAR))}, {message}"):
        back(folder, allow_lossy=True)
    assert not (folder.parent / "back.json").exists()


def test_an_order_of_keys_that_is_none_is_passed_over(folder: Path) -> None:
    forge(folder, b'"image":["', b'"image":[["x"],"id","id","')
    forge(folder, b'"annotation":[', b'"annotation":0,"other":[')
    assert back(folder) == small()


def test_an_edited_voc_box_is_taken_and_its_item_restored(tmp_path: Path) -> None:
    convert(save(tmp_path / "given.json", small()), "coco", tmp_path / "voc", "voc")
    (file,) = tmp_path.glob("voc/Annotations/**/a.xml")
    text = file.read_text()
    assert "11.25" in text
    file.write_text(text.replace("11.25", "12.25"))
    convert(tmp_path / "voc", "voc", tmp_path / "back.json", "coco")
    found = json.loads((tmp_path / "back.json").read_text())
    given = small()
    assert found["images"] == given["images"]
    kept = [given["annotations"][0], given["annotations"][2]]
    assert [one for one in found["annotations"] if one["id"] in (7, 9)] == kept
    (edited,) = (one for one in found["annotations"] if one["id"] not in (7, 9))
    assert edited["bbox"] == pytest.approx([11.25, 20.5, 29.125, 40.1])


def test_the_annotations_folder_of_voc_is_restored_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(save(tmp_path / "given.json", small()), "coco", tmp_path / "voc", "voc")
    convert(tmp_path / "voc/Annotations", "voc", tmp_path / "back.json", "coco")
    assert json.loads((tmp_path / "back.json").read_text()) == small()
    monkeypatch.chdir(tmp_path / "voc/Annotations")
    convert(Path(), "voc", tmp_path / "again.json", "coco")
    assert json.loads((tmp_path / "again.json").read_text()) == small()


@pytest.mark.parametrize("inside", ["", "voc", "voc/Annotations", "voc/Annotations/sub dir"])
def test_a_single_file_of_voc_is_restored_from_the_side_car_of_its_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    given = small()
    convert(save(tmp_path / "given.json", given), "coco", tmp_path / "voc", "voc")
    (file,) = tmp_path.glob("voc/Annotations/**/b 🦊.xml")
    monkeypatch.chdir(tmp_path / inside)
    named = Path(os.path.relpath(file)) if inside else file
    convert(named, "voc", tmp_path / "back.json", "coco")
    (image,) = (one for one in given["images"] if one["file_name"] == "sub dir/b 🦊.jpg")
    assert json.loads((tmp_path / "back.json").read_text()) == given | {
        "images": [image],
        "annotations": [one for one in given["annotations"] if one["image_id"] == image["id"]],
    }
    # Without the side-car its name is still the one that it has in the whole data set.
    (tmp_path / "voc" / SIDE_CAR).unlink()
    convert(named, "voc", tmp_path / "plain.json", "coco")
    found = json.loads((tmp_path / "plain.json").read_text())
    assert [one["file_name"] for one in found["images"]] == ["sub dir/b 🦊.jpg"]


@pytest.mark.parametrize("allow_lossy", [False, True])
def test_sizes_that_an_untrusted_side_car_would_tell_name_it_as_the_cause(
    folder: Path, allow_lossy: bool
) -> None:
    side_car = folder / SIDE_CAR
    side_car.write_bytes(side_car.read_bytes()[:-9])
    message = rf"sizes of 2 images .*--image-dir.*{SIDE_CAR_IGNORED}.*{SIDE_CAR}: .*last line.*--allow-lossy"
    with pytest.raises(BadInputError, match=message):
        back(folder, allow_lossy=allow_lossy)
