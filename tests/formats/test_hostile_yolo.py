"""YOLO from strangers: refused with the file and what is wrong, and nothing else happens."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Options, Read
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.yolo import FORMAT
from tests.formats.mutations import mutated, shortened
from tests.formats.pictures import picture
from tests.formats.test_yolo import EMPTY_VAL, YAML, put, read_all, sized, write_all

LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnames: [cat]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: !!python/object/apply:os.system [touch hacked]\n", "line 1: the tag .*os.system"),
        ("train: !!str x\n", "line 1: the tag"),
        ("train: !mine x\n", "line 1: the tag !mine"),
        (LAUGHS, "line 1: an anchor or alias"),
        ("names: *a\n", "anchor or alias|not YAML"),
        ("train: x\ntrain: y\n", "line 2: the key 'train' a second time"),
        ("? [a]\n: b\n", "a key that is not text"),
        ("train: x\n---\ntrain: y\n", "line 2: a second document"),
        ("names: [cat\n", "not YAML"),
        ("\t- x", "not YAML"),
        (b"\xff\xfe", "not UTF-8"),
        ("a: " + "[" * 1_000_000, "more than 20 levels"),
        ("[" * 30, "more than 20 levels"),
        ("x" * (17 << 20), "more than 16 MB"),
        ("just text", "this is no mapping"),
        ("", "this is no mapping"),
        ("train: images/train\nval: images/val\n", "names of the classes are missing"),
        ("train: x\nnc: many\n", "nc: the number of classes"),
        ("train: x\nnc: 99999999999999999999\n", "nc: the number of classes"),
        ("train: x\nnc: 999999999\n", "nc: the number of classes"),
        ("train: x\nnc: 3\nnames: [cat]\n", "nc is 3, and there are 1 names"),
        ("train: x\nnames: {0: cat, 2: dog}\n", "numbers 0 to 1 are wanted"),
        ("train: x\nnames: {cat: 0}\n", "numbers 0 to 0 are wanted"),
        ("train: x\nnames: [cat, ]\n", "neither x nor its labels"),
        ("train: x\nnames: [cat, ~]\n", "class 1 has no name"),
        ("train: x\nnames: [[cat]]\n", "class 0 has no name"),
        ("train: x\nnames: cat\n", "a list, or a mapping"),
        ("train: {a: b}\nnames: [cat]\n", "train: a folder or a list"),
        ("path: [a]\ntrain: x\nnames: [cat]\n", "path: one folder"),
        ("names: [cat]\n", "it names no images"),
        ("train: ../../../../etc\nval: images/val\nnames: [cat]\n", "neither ../../../../etc nor its labels"),
        ("train: /etc\nval: images/val\nnames: [cat]\n", "neither /etc nor its labels"),
        ("path: /etc\ntrain: ssl\nval: images/val\nnames: [cat]\n", "neither ssl nor its labels"),
        ('train: "\\0"\nval: images/val\nnames: [cat]\n', "nor its labels"),
        ("train: images/train\nkpt_shape: [17, 9]\nnames: [cat]\n", "kpt_shape"),
    ],
    ids=shortened,
)
def test_fact_16_bad_descriptions_are_refused_with_the_place(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    put(tmp_path, {"data.yaml": content, "labels/train/a.txt": "", **EMPTY_VAL})
    with pytest.raises(BadInputError, match=message) as caught:
        read_all(tmp_path, **sized())
    assert str(caught.value).startswith(f"{tmp_path}/data.yaml")
    assert len(str(caught.value)) < 1000
    assert not Path("hacked").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.yaml": "", "b.yaml": ""}, "a.yaml and b.yaml could each describe"),
        ({"labels/a.txt": ""}, "nothing here describes a YOLO data set"),
        ({"obj.data": "train\n"}, "obj.data, line 1: `key = value` is wanted"),
        ({"obj.data": "train = train.txt\n"}, "train: there is no train.txt below"),
        ({"obj.data": b"\xff"}, "obj.data, line 1: not UTF-8"),
        ({"obj.data": "classes=1\n"}, "names: there is no obj.names"),
        ({"obj.data": "", "obj.names": "cat\n\ndog\n"}, "obj.names, line 2: a blank line among the classes"),
        ({"classes.txt": "cat\n\n \ndog\n\n"}, "classes.txt, line 2: a blank line among the classes"),
        ({"obj.data": "classes=2\n", "obj.names": "cat\n"}, "nc is 2, and there are 1 names"),
    ],
)
def test_folders_that_do_not_say_what_they_are(
    tmp_path: Path, files: dict[str, str | bytes], message: str
) -> None:
    put(tmp_path, files)
    with pytest.raises(BadInputError, match=message):
        read_all(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../../etc/passwd", "train.txt, line 1: .*`..`"),
        ("images/a\\b.jpg", "train.txt, line 1: .*backslash"),
        (b"\xff.jpg", "train.txt, line 1: not UTF-8"),
        ("a" * 5000, "train.txt, line 1: a path of more than"),
        ("a\0.jpg", "train.txt, line 1: .*control character"),
    ],
    ids=shortened,
)
def test_bad_lists_are_refused_with_the_line(tmp_path: Path, line: str | bytes, message: str) -> None:
    put(
        tmp_path,
        {"data.yaml": "train: train.txt\nval: images/val\nnames: [cat]\n", "train.txt": line, **EMPTY_VAL},
    )
    with pytest.raises(BadInputError, match=message):
        read_all(tmp_path, **sized())


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    lists = {"train.txt": "images/a.jpg\n./images/a.jpg\n", "labels/a.txt": ""}
    put(tmp_path, {"data.yaml": "train: train.txt\nval: train.txt\nnames: [cat]\n", **lists})
    with pytest.raises(BadInputError, match="items 1 and 2 have the same name"):
        read_all(tmp_path, **sized())


def test_two_images_that_share_a_label_file_are_refused(tmp_path: Path) -> None:
    put(tmp_path, {"data.yaml": YAML, **EMPTY_VAL})
    put(
        tmp_path, {"images/train/a.jpg": picture("upright.jpg"), "images/train/a.png": picture("upright.png")}
    )
    with pytest.raises(
        BadInputError, match=r"images/train/a.(png|jpg): it shares its label file a.txt with a."
    ):
        read_all(tmp_path)


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", {"a.jpg": picture("upright.jpg"), "a.txt": "0 .5 .5 1 1\n"})
    put(tmp_path / "in", {"data.yaml": YAML, "labels/train/z.txt": "", **EMPTY_VAL})
    os.symlink(tmp_path / "elsewhere/a.txt", tmp_path / "in/labels/train/a.txt")
    with pytest.raises(
        BadInputError, match=r"labels/train/a.txt: a link that leads out of .*; it is not followed"
    ):
        read_all(tmp_path / "in", **sized())
    for name in ("a.txt", "z.txt"):
        (tmp_path / "in/labels/train" / name).unlink()
    (tmp_path / "in/labels/train").rmdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "in/labels/train")
    with pytest.raises(BadInputError, match="neither images/train nor its labels"):
        read_all(tmp_path / "in", **sized())
    put(tmp_path / "in", {"images/train/a.txt": "not labels, for these lie elsewhere"})
    os.symlink(tmp_path / "elsewhere/a.jpg", tmp_path / "in/images/train/a.jpg")
    os.symlink(tmp_path / "in", tmp_path / "in/images/train/loop")
    with pytest.raises(BadInputError, match=r"out of|sizes of . images are not known"):
        read_all(tmp_path / "in")


def test_a_pipe_in_place_of_a_picture_or_of_labels_does_not_stop_it(tmp_path: Path) -> None:
    put(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": "0 .5 .5 1 1\n", **EMPTY_VAL})
    (tmp_path / "images/train").mkdir(parents=True)
    os.mkfifo(tmp_path / "images/train/a.jpg")
    with pytest.raises(BadInputError, match=r"sizes of 2 images are not known.*images/train/a"):
        read_all(tmp_path)
    os.mkfifo(tmp_path / "labels/train/b.txt")
    with pytest.raises(BadInputError, match=r"labels/train/b.txt: no plain file"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"not a picture", b"RIFF\xff\xff\xff\xffWEBPVP8X", b"\xff\xd8\xff"]
)
def test_broken_pictures_have_no_size(tmp_path: Path, content: bytes) -> None:
    put(
        tmp_path,
        {
            "data.yaml": YAML,
            "labels/train/a.txt": "0 .5 .5 1 1\n",
            "images/train/a.jpg": content,
            **EMPTY_VAL,
        },
    )
    with pytest.raises(BadInputError, match="sizes of 2 images are not known"):
        read_all(tmp_path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nothing", path)])
@pytest.mark.parametrize("pictured", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_what_stands_in_place_of_a_label_file_is_refused(
    tmp_path: Path, make: Callable[[Path], None], pictured: bool, listed: bool
) -> None:
    train = "train.txt" if listed else "images/train"
    put(tmp_path, {"data.yaml": YAML.replace("images/train", train), "labels/train/b.txt": "", **EMPTY_VAL})
    put(tmp_path, {"train.txt": "images/train/a.jpg\n"})
    if pictured or listed:
        put(tmp_path, {"images/train/a.jpg": picture("upright.jpg")})
    make(tmp_path / "labels/train/a.txt")
    with pytest.raises(BadInputError, match=r"labels/train/a.txt: no plain file"):
        read_all(tmp_path)


def test_a_picture_that_says_impossible_sides_is_refused(tmp_path: Path) -> None:
    image = picture("upright.png")
    put(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": "0 .5 .5 1 1\n", **EMPTY_VAL})
    put(tmp_path, {"images/train/a.png": image[:16] + b"\xff" * 8 + image[24:]})
    with pytest.raises(BadInputError, match=r"images/train/a.png: its head says 4294967295 x 4294967295"):
        read_all(tmp_path)


def test_a_label_file_without_end_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": b"0" * (17 << 20), **EMPTY_VAL})
    with pytest.raises(BadInputError, match=r"labels/train/a.txt: more than 16 MB"):
        read_all(tmp_path, **sized())
    put(tmp_path, {"labels/train/a.txt": b"0 0 0 0 0\n" * 200_001})
    with pytest.raises(BadInputError, match=r"labels/train/a.txt: more than 200,000 rows"):
        read_all(tmp_path, **sized())


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


def test_two_items_of_one_stem_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"s/a.png: its file 'labels/all/s/a.txt' is that of another item"
    ):
        write_all(tmp_path / "out", Header([]), [Item("s/a.jpg"), Item("s/A.jpg"), Item("s/a.png")])


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_classes_that_yaml_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="rename it"):
        write_all(tmp_path / "out", Header([Category(name)]), [])


def test_an_image_of_no_width_is_refused_only_if_it_has_boxes(tmp_path: Path) -> None:
    write_all(tmp_path / "out", Header([Category("cat")]), [Item("a.jpg", width=0, height=0)])
    item = Item("a.jpg", [Annotation(0, (0.0, 0.0, 1.0, 1.0))], width=0, height=5)
    with pytest.raises(BadInputError, match=r"the sizes of 1 images are not known.*: a.jpg"):
        write_all(tmp_path / "again", Header([Category("cat")]), [item])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    described=mutated(YAML.encode())
    | mutated(
        b"path: .\ntrain: [images/train, train.txt]\nval: train.txt\nnames: {0: a, 1: b}\nnc: 2\ntask: obb\n"
    )
    | mutated(b"train: ../train/images\nval: images/val\nnames: ['a']\nkpt_shape: [2, 3]\n"),
    rows=mutated(b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n\n0 .5 .5 1 1 .9\n"),
    listed=mutated(b"./images/train/a.jpg\n/x/images/train/b.jpg\n"),
    name=st.sampled_from(["upright.jpg", "orientation_6.png", "orientation_6.webp", "orientation_6.tif"]),
    pictured=st.data(),
    clip=st.booleans(),
)
def test_fuzz_nothing_but_bad_input_comes_out(
    tmp_path_factory: pytest.TempPathFactory,
    described: bytes,
    rows: bytes,
    listed: bytes,
    name: str,
    pictured: st.DataObject,
    clip: bool,
) -> None:
    root = tmp_path_factory.mktemp("yolo")
    put(
        root,
        {
            "data.yaml": described,
            "train.txt": listed,
            "labels/train/a.txt": rows,
            "train/labels/a.txt": rows,
            f"images/train/a.{name.split('.')[1]}": pictured.draw(mutated(picture(name))),
            **EMPTY_VAL,
            "images/val/none.png": picture("upright.png"),
        },
    )
    try:
        header, reads = read_all(root, clip=clip)
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
        list(FORMAT.write(header, iter([read.item for read in reads]), root / "again", Options(), Losses()))
    except BadInputError:
        return
    assert len(read_all(root / "again", **sized(3, 3))[1]) == len(reads)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    described=mutated(b"classes = 1\ntrain = data/train.txt\nvalid = train.txt\nnames = data/obj.names\n"),
    names=mutated(b"cat\n"),
    listed=mutated(b"data/obj_train_data/a.jpg\n"),
)
def test_fuzz_darknet(
    tmp_path_factory: pytest.TempPathFactory, described: bytes, names: bytes, listed: bytes
) -> None:
    root = tmp_path_factory.mktemp("darknet")
    put(
        root,
        {
            "obj.data": described,
            "obj.names": names,
            "train.txt": listed,
            "obj_train_data/a.txt": "0 .5 .5 1 1",
        },
    )
    refused = None
    try:
        read_all(root, **sized())
    except BadInputError as error:
        refused = str(error)
    assert refused is None or str(root) in refused
