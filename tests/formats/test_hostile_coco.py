"""COCO files that are broken or made to harm: a clear error with file and place, and nothing written."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from tests.formats.coco_documents import annotation, convert, save, small

FUZZ_SECONDS = float(os.environ.get("HIVEGUARD_FUZZ_SECONDS", "0"))


def images(**changed: Any) -> list[dict[str, Any]]:
    plain = {"id": 5, "file_name": "a.jpg", "width": 640, "height": 480} | changed
    return [{key: value for key, value in plain.items() if value != "-"}]


def outcome(source: Path, target: Path, kind: str) -> str | None:
    """What a conversion is refused with, or None."""
    try:
        convert(source, "coco", target, kind)
    except BadInputError as error:
        return str(error)
    return None


def one(**changed: Any) -> dict[str, Any]:
    """The small document with one annotation, changed; "-" takes a key away."""
    entry = annotation(3, 5) | changed
    return small(annotations=[{key: value for key, value in entry.items() if value != "-"}])


TEXT = json.dumps(small())
BAD: dict[str, tuple[Any, str]] = {
    "duplicate image ids": (
        small(images=images() + images(file_name="b")),
        r"images\[0\] and images\[1\].*id 5",
    ),
    "duplicate file names": (
        small(images=images() + images(id=6)),
        r"images\[0\] and images\[1\].*file_name",
    ),
    "duplicate annotation ids": (
        small(annotations=[annotation(3, 5), annotation(4, 5), annotation(3, 2)]),
        r"annotations\[0\] and annotations\[2\] have the same id 3",
    ),
    "duplicate ids beside a missing one": (
        small(annotations=[annotation(None, 5), annotation(4, 5), annotation(4, 2)]),
        r"annotations\[1\] and annotations\[2\] have the same id 4",
    ),
    "duplicate category ids": (
        small(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]),
        r"categories\[0\] and categories\[1\] have the same id 1",
    ),
    "unknown image": (one(image_id=99), r"annotations\[0\]: image_id 99"),
    "unknown category": (one(category_id=99), r"annotations\[0\] \(id 3\): category_id 99"),
    "no category": (one(category_id="-"), r"annotations\[0\] \(id 3\): category_id.*captions"),
    "no image id": (one(image_id="-"), r"annotations\[0\]: image_id"),
    "text as id": (one(id="x"), r"annotations\[0\]: id: a whole number"),
    "true as id": (one(id=True), r"annotations\[0\]: id: a whole number"),
    "huge id": (one(id=1 << 70), r"annotations\[0\]: id: a whole number of 64 bits"),
    "no image name": (small(images=images(file_name="-")), r"images\[0\]: the file name is missing"),
    "negative width": (one(bbox=[1, 2, -3, 4]), r"annotations\[0\] \(id 3\): bbox.*below zero"),
    "three numbers": (one(bbox=[1, 2, 3]), r"bbox: four numbers"),
    "text in a box": (one(bbox=[1, 2, "3", 4]), r"bbox.*numbers"),
    "true in a box": (one(bbox=[1, 2, True, 4]), r"bbox.*numbers"),
    "box too far": (one(bbox=[1, 2, 3, 2**31 + 1]), r"bbox.*2\*\*31"),
    "huge number": (one(bbox=[1, 2, 3, 10**400]), r"annotations\[0\]"),
    "negative area": (one(area=-1), r"area: a number of at least 0"),
    "crowd of 2": (one(iscrowd=2), r"iscrowd: 0 or 1"),
    "mask as text": (one(segmentation="x"), r"segmentation: polygons or an RLE"),
    "image of no width": (small(images=images(width=0)), r"images\[0\]: width"),
    "image of negative height": (small(images=images(height=-1)), r"images\[0\]: height"),
    "image too wide": (small(images=images(width=2**31)), r"images\[0\]: width"),
    "half a pixel": (small(images=images(width=1.5)), r"images\[0\]: width"),
    "parent folder": (small(images=images(file_name="../../evil.jpg")), r"images\[0\]: .*`\.\.`"),
    "absolute": (small(images=images(file_name="/etc/passwd")), r"images\[0\]: .*absolute.*--rebase-paths"),
    "drive": (small(images=images(file_name="C:/a.jpg")), r"images\[0\]: .*absolute"),
    "backslash": (small(images=images(file_name="..\\a.jpg")), r"images\[0\]: .*backslash"),
    "nul": (small(images=images(file_name="a\0.jpg")), r"images\[0\]: .*control character"),
    "line end": (small(images=images(file_name="a\n.jpg")), r"images\[0\]: .*control character"),
    "half a character": (TEXT.replace("a.jpg", "\\ud800.jpg"), r"images\[0\]"),
    "endless name": (small(images=images(file_name="a" * 5000)), r"longer than 1024 bytes"),
    "name for a file": (small(images=images(file_name=5)), r"images\[0\]: the file name"),
    "NaN": (TEXT.replace("10.25", "NaN"), r"annotations\[1\].*NaN"),
    "infinity": (TEXT.replace("10.25", "-Infinity"), r"annotations\[1\].*infinity"),
    "1e999": (TEXT.replace("10.25", "1e999"), r"annotations\[1\].*infinity"),
    "1e999 in a mask": (TEXT.replace('"counts": [1', '"counts": [1e999'), r"annotations\[2\].*infinity"),
    "cut off in a text": (TEXT[: TEXT.index("jpg")], r"cut off.*inside a text"),
    "cut off in a list": (TEXT[: TEXT.index('"bbox"') + 12], r"cut off.*brackets open"),
    "closed too often": (TEXT + "}", r"byte \d+: a bracket is closed that was not opened"),
    "two documents": (TEXT + TEXT, r"stands there twice|Extra data"),
    "annotations twice": (TEXT[:-1] + ', "annotations": []}', r"'annotations' stands there twice"),
    "a key twice": (
        TEXT.replace('"bbox": [10.25', '"id": 8, "bbox": [10.25'),
        r'annotations\[1\]: the key "id" stands there twice',
    ),
    "a key twice in a mask": (
        TEXT.replace('"counts": [1', '"counts": [2], "counts": [1'),
        r'annotations\[2\]: the key "counts" stands there twice',
    ),
    "a key twice, once with an escape": (
        TEXT.replace('"file_name": "a.jpg"', r'"\u0069d": 5, "x": "\u003a", "file_name": "a.jpg"'),
        r'images\[0\]: the key "id" stands there twice',
    ),
    "a key twice beside an address": (
        TEXT.replace('"file_name": "a.jpg"', '"x": 1, "url": "s3://a:b", "x": 1, "file_name": "a.jpg"'),
        r'images\[0\]: the key "x" stands there twice',
    ),
    "a key twice in the rest": (
        TEXT[:-1] + ', "note": 1, "note": {"a:": 1}}',
        r'beside images and annotations: the key "note" stands there twice',
    ),
    "brackets mixed up": (TEXT.replace("40.1]", "40.1}"), r"annotations\[1\].*not JSON"),
    "no comma": (TEXT.replace("}, {", "} {", 1), r"images|annotations"),
    "two commas": (TEXT.replace("}, {", "},, {", 1), r"images|annotations"),
    "comma at the end": (
        TEXT.replace("}]", "},]", 1),
        r"images: at or after entry 2|annotations: at or after",
    ),
    "no comma between categories": (
        TEXT.replace('"indoor"}, {', '"indoor"} {'),
        r"beside images and annotations: not JSON",
    ),
    "numbers for images": (small(images=[1, 2]), r"images: at or after entry 0"),
    "lists for images": (small(images=[[1], [2]]), r"images\[0\]: an object is wanted"),
    "lists for annotations": (small(annotations=[[1], [2]]), r"annotations\[0\]: an object is wanted"),
    "images as object": (small(images={"a": 1}), r"'images' is not a list"),
    "categories as object": (small(categories={"a": 1}), r"categories: a list is wanted"),
    "a category without a name": (small(categories=[{"id": 1}]), r"categories\[0\]: name"),
    "no images": ({"annotations": [], "categories": []}, r"no \"images\".*--from"),
    "deep": (small(info={"a": 1}, x=json.loads("[" * 200 + "]" * 200)), r"nested more than 100 levels"),
    "a million deep": ('{"images": ' + "[" * 1_000_000, r"nested more than 100 levels"),
    "not UTF-8": (TEXT.encode().replace(b"person", b"p\xffrson"), r"not UTF-8"),
    "UTF-16": (TEXT.encode("utf-16"), r"not a JSON document|not JSON|UTF-8"),
    "gzip": (b"\x1f\x8b\x08\0\0", r"compressed; unpack it first"),
    "empty": ("", r"the file is empty"),
    "white space": (" \n ", r"the file is empty"),
    "XML": ("<annotation/>", r"not a JSON document"),
    "a huge number": (TEXT.replace("10.25", "9" * 5000), r"annotations\[1\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_file_and_place(tmp_path: Path, case: str) -> None:
    document, said = BAD[case]
    source = save(tmp_path / "bad.json", document)
    for number, kind in enumerate(("yolo", "coco")):
        with pytest.raises(BadInputError) as error:
            convert(source, "coco", tmp_path / f"out{number}", kind)
        assert re.search(said, str(error.value)), str(error.value)
        assert "bad.json" in str(error.value)
        assert len(str(error.value)) < 700
    assert list(tmp_path.iterdir()) == [source]


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="directory"):
        convert(tmp_path, "coco", tmp_path / "out", "coco")


def test_a_mark_of_utf_8_at_the_beginning_is_taken(tmp_path: Path) -> None:
    source = save(tmp_path / "bom.json", b"\xef\xbb\xbf" + TEXT.encode())
    convert(source, "coco", tmp_path / "out.json", "coco")
    assert json.loads((tmp_path / "out.json").read_text()) == small()


def test_keys_may_be_written_with_escapes(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", TEXT.replace('"annotations"', r'"\u0061nnotations"'))
    convert(source, "coco", tmp_path / "out.json", "coco")
    assert json.loads((tmp_path / "out.json").read_text()) == small()


def test_colons_that_are_no_keys_of_their_own_are_taken(tmp_path: Path) -> None:
    odd = {"url": "https://host:8/a b://c", "at": "12:30", "x": [{"a:": {"b": ":"}}, 1], "big": 10**30}
    given = small(images=images(**odd), annotations=[annotation(1, 5, attributes={"a": {"b": ":"}}, **odd)])
    source = save(tmp_path / "a.json", json.dumps(given).replace("12:30", r"12\u003a30"))
    convert(source, "coco", tmp_path / "out.json", "coco")
    assert json.loads((tmp_path / "out.json").read_text()) == given


@pytest.mark.parametrize(
    "names",
    [
        ("a.jpg", "A.jpg"),
        ("é.jpg", "e\u0301.jpg"),
        ("sub/a.jpg", "Sub/a.jpg"),
        ("a b.jpg", "a\u00a0b.jpg"),
        ("x…/a.jpg", "x.../a.jpg"),
    ],
)
@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_look_alike_names_are_kept_apart(tmp_path: Path, names: tuple[str, str], kind: str) -> None:
    both = [*images(file_name=names[0]), *images(id=6, file_name=names[1])]
    given = small(images=both, annotations=[annotation(1, 5), annotation(2, 6, bbox=[1, 2, 3, 4])])
    source = save(tmp_path / "a.json", given)
    convert(source, "coco", tmp_path / "out", kind)
    convert(tmp_path / "out", kind, tmp_path / "back.json", "coco")
    assert json.loads((tmp_path / "back.json").read_text()) == given


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_two_names_of_one_file_are_refused_or_kept_apart(tmp_path: Path, kind: str) -> None:
    both = [*images(file_name="a.jpg"), *images(id=6, file_name="a.png")]
    given = small(images=both, annotations=[annotation(1, 5), annotation(2, 6, bbox=[1, 2, 3, 4])])
    source = save(tmp_path / "a.json", given)
    said = outcome(source, tmp_path / "out", kind)
    if said is None:
        convert(tmp_path / "out", kind, tmp_path / "back.json", "coco")
        assert json.loads((tmp_path / "back.json").read_text()) == given
    else:
        assert "a.png" in said
        assert list(tmp_path.iterdir()) == [source]


BOMBS: dict[str, Callable[[Any], None]] = {
    "one text": lambda file: _many(file, b'{"images": [], "x": "', b"a" * (1 << 20), 200),
    "one number": lambda file: _many(file, b'{"images": [], "x": ', b"1" * (1 << 20), 200),
    "many keys": lambda file: _many(file, b'{"images": []', b', "k": 1' * (1 << 17), 200),
    "many lists": lambda file: _many(file, b'{"images": [], "x": [[]', b",[]" * (1 << 18), 200),
    "one image": lambda file: _many(file, b'{"images": [{"x": [1', b",1" * (1 << 19), 200),
    "nothing": lambda file: _many(file, b'{"images": [', b" " * (1 << 20), 200),
}


def _many(file: Any, start: bytes, piece: bytes, times: int) -> None:
    file.write(start)
    for _ in range(times):
        file.write(piece)


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_values_of_200_mb_are_refused_in_little_memory(tmp_path: Path, bomb: str) -> None:
    with (tmp_path / "bomb.json").open("wb") as file:
        BOMBS[bomb](file)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from hiveguard_pipeline.errors import BadInputError\n"
        "from tests.formats.coco_documents import convert\n"
        "import hiveguard_pipeline.formats.coco.read\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    convert(Path(sys.argv[1]), 'coco', Path(sys.argv[1] + '.out'), 'coco')\n"
        "except BadInputError as error:\n    print(error, file=sys.stderr)\n"
        "else:\n    sys.exit('taken')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bomb.json")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (100, 100)),
    )
    assert int(done.stdout) < 64 << 10, done.stderr
    assert len(done.stderr) < 1000


# Shapes that are easily got wrong; ten minutes of the fuzz test below found nothing to add.
SEEDS: list[bytes] = [
    b'{"images":[],"annotations":[],"categories":[{"id":1,"name":"a"},"',
    b'{"images":[{"id":1,"file_name":"a"}],"annotations":[{"id":1,"image_id":1,"category_id":[]}]}',
    b'{"images":[{"id":1,"file_name":"a"}],"annotations":[{"id":[],"image_id":{}}]}',
    b'{"images":[{}\\,{}]}',
    b"{\\",
]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_fuzzing_found_stays_found(tmp_path: Path, seed: bytes) -> None:
    _only_bad_input(tmp_path, seed)


WORDS = b'{ } [ ] , : " \\ null true 1e999 -1 NaN \xff "id" 0 1.5 \\u0000 \\ud800 {"id":1} [[]] "" "../x"'
PIECES = st.sampled_from([*WORDS.split(), b'"images"', b" ", b"\0", b"1" * 400])


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A valid document with pieces put in, taken out, and put in another's place."""
    text = draw(st.sampled_from([TEXT.encode(), json.dumps(small(), indent=1).encode()]))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 20, 200])), len(text))
        text = text[:start] + draw(PIECES | st.binary(max_size=3)) + text[end:]
    return text


def _only_bad_input(folder: Path, text: bytes) -> None:
    source, target = save(folder / "a.json", text), folder / "out"
    for kind in ("coco", "yolo"):
        said = outcome(source, target, kind)
        if said is not None:
            assert "\n" not in said
            assert len(said) < 2000
            assert list(folder.iterdir()) == [source]
        else:
            again = folder / "again.json"
            convert(target, kind, again, "coco")
            json.loads(again.read_text())
            again.unlink()
            shutil.rmtree(target) if target.is_dir() else target.unlink()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoiled() | st.binary(max_size=60))
def test_whatever_the_file_holds_only_bad_input_comes_out(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    _only_bad_input(folder, text)
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(not FUZZ_SECONDS, reason="HIVEGUARD_FUZZ_SECONDS says how long to fuzz")
def test_fuzzing_for_as_long_as_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    until = time.monotonic() + FUZZ_SECONDS

    @settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(spoiled() | st.binary(max_size=200))
    def fuzz(text: bytes) -> None:
        folder = tmp_path_factory.mktemp("fuzz")
        _only_bad_input(folder, text)
        shutil.rmtree(folder)

    while time.monotonic() < until:
        fuzz()
