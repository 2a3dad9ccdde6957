"""Our output as read by tools that nobody here wrote, in an environment of their own (`make peers`)."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.formats.coco_documents import convert
from tests.formats.test_side_car import png

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".peers" / "formats" / "bin"
TINY = ["instances_val2017.json", "instances_train2017.json"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PEERS / "python").exists(), reason="`make peers` installs other people's tools"),
]
Seen = Callable[..., dict[str, list[list[Any]]]]


@pytest.fixture(params=TINY)
def source(request: pytest.FixtureRequest, shared_cases: Path) -> Path:
    return shared_cases / "tiny-coco" / str(request.param)


def seen_by(tool: str, path: Path, images: Path | None = None) -> dict[str, list[list[Any]]]:
    """What a tool reads."""
    command = [PEERS / "python", ROOT / "tests" / "formats" / "peer_tools.py", tool, path, images or ""]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: sorted(boxes) for name, boxes in json.loads(done.stdout.splitlines()[-1]).items()}


def expected(source: Path, crowds: bool = True) -> dict[str, list[list[Any]]]:
    """The boxes of a COCO document by image name without its suffix."""
    given = json.loads(source.read_text())
    names = {category["id"]: category["name"] for category in given["categories"]}
    found: dict[str, list[list[Any]]] = {}
    for image in given["images"]:
        found[Path(image["file_name"]).stem] = sorted(
            [names[entry["category_id"]], *entry["bbox"]]
            for entry in given["annotations"]
            if entry["image_id"] == image["id"] and (crowds or not entry["iscrowd"])
        )
    return found


def assert_alike(
    found: dict[str, list[list[Any]]], wanted: dict[str, list[list[Any]]], within: float
) -> None:
    """The same images, with the same boxes of the same classes."""
    assert {name: len(boxes) for name, boxes in found.items()} == {
        n: len(boxes) for n, boxes in wanted.items()
    }
    for name, boxes in wanted.items():
        left = list(found[name])
        for label, *box in boxes:
            near = [one for one in left if one[0] == label and one[1:] == pytest.approx(box, abs=within)]
            assert near, f"{name}: {label} {box} is not among {left}"
            left.remove(near[0])


@pytest.fixture
def images(source: Path, tmp_path: Path) -> Path:
    """A picture of the right size for each image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for image in json.loads(source.read_text())["images"]:
        (folder / image["file_name"]).write_bytes(png(image["width"], image["height"]))
    return folder


@pytest.fixture
def coco(source: Path, tmp_path: Path) -> Path:
    """COCO that came by way of YOLO and VOC."""
    convert(source, "coco", tmp_path / "yolo", "yolo")
    convert(tmp_path / "yolo", "yolo", tmp_path / "voc", "voc")
    convert(tmp_path / "voc", "voc", tmp_path / "back.json", "coco")
    return tmp_path / "back.json"


@pytest.mark.parametrize(
    ("tool", "within"), [("pycocotools", 0), ("globox_coco", 1e-9), ("supervision_coco", 1e-3)]
)
def test_coco_is_read_by(coco: Path, source: Path, images: Path, tool: str, within: float) -> None:
    assert_alike(seen_by(tool, coco, images), expected(source), within)


@pytest.mark.parametrize(("tool", "within"), [("supervision_yolo", 1e-3), ("globox_yolo", 1e-9)])
def test_yolo_is_read_by(coco: Path, source: Path, images: Path, tool: str, within: float) -> None:
    assert_alike(seen_by(tool, coco.with_name("yolo"), images), expected(source, crowds=False), within)


def test_voc_counted_from_0_is_read_by_globox(source: Path, tmp_path: Path) -> None:
    convert(source, "coco", tmp_path / "voc", "voc", voc_origin=0)
    assert_alike(seen_by("globox_voc", tmp_path / "voc"), expected(source), 1e-9)


def test_coco_is_valid_and_the_same_to_panlabel(coco: Path, source: Path) -> None:
    for command in (["validate", coco, "--format", "coco"], ["diff", source, coco]):
        done = subprocess.run(
            [str(PEERS / "panlabel"), *map(str, command)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_coco_is_read_by_datumaro(coco: Path, source: Path, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "datumaro" / "annotations"
    folder.mkdir(parents=True)
    (tmp_path / "datumaro" / "images").mkdir()
    images.rename(tmp_path / "datumaro" / "images" / "val")
    coco.rename(folder / "instances_val.json")
    found = seen_by("datumaro_coco", tmp_path / "datumaro")
    wanted = expected(source)
    assert found.keys() == wanted.keys()
    # It makes an annotation of each polygon, so that there are more.
    assert all(len(found[name]) >= len(boxes) for name, boxes in wanted.items())
    assert {box[0] for boxes in found.values() for box in boxes} == {
        box[0] for boxes in wanted.values() for box in boxes
    }
