"""Conversions whole: round trips of the shared cases, what is refused, what is left behind, the command."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import FORMATS, FormatConverter, open_format
from hiveguard_pipeline.formats.convert import open_source
from hiveguard_pipeline.formats.format import Feature, Options
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Header, Item
from tests.cli.conftest import Terminal
from tests.formats import any_model
from tests.formats.coco_documents import annotation, convert, save, small, through
from tests.formats.pairs import every_pair, table
from tests.formats.pictures import picture

BEGINS, ENDS = "<!-- pairs: written by a test -->", "<!-- pairs end -->"
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
TINY = ["instances_val2017.json", "instances_train2017.json"]


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(
    "way", [["yolo", "voc"], ["voc", "yolo"], ["yolo"], ["voc"], ["jsonl"], ["yolo", "jsonl", "voc"]]
)
def test_the_shared_coco_comes_back_equal(
    shared_cases: Path, tmp_path: Path, name: str, way: list[str]
) -> None:
    given = json.loads((shared_cases / "tiny-coco" / name).read_text())
    found = through(tmp_path, given, *way)
    assert found == given
    assert [list(one) for one in found["annotations"]] == [list(one) for one in given["annotations"]]


def test_without_its_side_car_boxes_come_back_to_a_billionth(shared_cases: Path, tmp_path: Path) -> None:
    source = shared_cases / "tiny-coco" / TINY[0]
    given = json.loads(source.read_text())
    convert(source, "coco", tmp_path / "voc", "voc")
    (tmp_path / "voc" / "hiveguard.jsonl").unlink()
    convert(tmp_path / "voc", "voc", tmp_path / "back.json", "coco")
    found = json.loads((tmp_path / "back.json").read_text())
    boxes = sorted(one["bbox"] for one in given["annotations"])
    for one, other in zip(boxes, sorted(one["bbox"] for one in found["annotations"]), strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_losses_that_nothing_restores_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", small())
    with pytest.raises(BadInputError, match=r"segmentation_dropped 1 \(first: .*--allow-lossy"):
        convert(source, "coco", tmp_path / "a.csv", "csv")
    assert list(tmp_path.iterdir()) == [source]
    done = convert(source, "coco", tmp_path / "a.csv", "csv", allow_lossy=True)
    assert ("segmentation_dropped", 1) in [(loss.code, loss.count) for loss in done.lost]
    assert not done.kept


def test_what_a_killed_run_left_is_taken_away_a_day_later(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", small())
    names = ("out.abcd1234", "out.abcd5678", "x.abcd1234")
    old, new, other = (tmp_path / f".{name}.partial" for name in names)
    for one in (old, new, other):
        (one / "output").mkdir(parents=True)
        if one != new:
            os.utime(one / "output", (0, 0))
            os.utime(one, (0, 0))
    convert(source, "coco", tmp_path / "out", "yolo")
    assert [one.exists() for one in (old, new, other)] == [False, True, True]


def test_a_stopped_run_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from hiveguard_pipeline.cli.main import main\n"
        "from hiveguard_pipeline.formats import convert as module\n"
        "module._write = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.argv = ['hiveguard', 'convert', 'a.json', 'out', '--from', 'coco', '--to', 'yolo']\n"
        "main()"
    )
    source = save(tmp_path / "a.json", small())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 130, done.stderr
    assert list(tmp_path.iterdir()) == [source]


def test_a_name_that_is_too_long_is_told_in_a_line(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", small())
    with pytest.raises(BadInputError, match="cannot be made there: File name too long"):
        convert(source, "coco", tmp_path / ("n" * 256), "yolo")
    convert(source, "coco", tmp_path / ("\U0001f98a" * 63), "yolo")


def test_an_output_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", small())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for target in (source, tmp_path / "full", tmp_path / "link"):
        for kind in ("coco", "yolo"):
            with pytest.raises(BadInputError, match="is there already"):
                convert(source, "coco", target, kind)
    assert json.loads(source.read_text()) == small()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    convert(source, "coco", tmp_path / "empty", "yolo")
    assert (tmp_path / "empty" / "data.yaml").is_file()
    with pytest.raises(BadInputError, match="there is no folder"):
        convert(source, "coco", tmp_path / "no" / "out", "yolo")
    with pytest.raises(BadInputError, match="no such file"):
        convert(tmp_path / "no.json", "coco", tmp_path / "out", "yolo")


def test_output_can_be_read_by_whom_the_users_mask_allows(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", small())
    before = os.umask(0o027)
    try:
        convert(source, "coco", tmp_path / "yolo", "yolo")
        convert(source, "coco", tmp_path / "b.json", "coco")
    finally:
        os.umask(before)
    assert (tmp_path / "yolo").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "b.json").stat().st_mode & 0o777 == 0o640


def test_the_same_input_gives_the_same_bytes_in_other_processes(tmp_path: Path) -> None:
    source = save(tmp_path / "a.json", small())
    outputs = []
    for seed in ("0", "1", "2"):
        for kind in ("yolo", "voc", "coco", "jsonl"):
            subprocess.run(
                [Path(sys.executable).with_name("hiveguard"), "convert", source, tmp_path / f"{kind}{seed}",
                 "--from", "coco", "--to", kind],
                env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC+{seed}"},
                check=True,
                capture_output=True,
                timeout=60,
            )  # fmt: skip
        files = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path != source)
        here = [path for path in files if path.relative_to(tmp_path).parts[0].endswith(seed)]
        outputs.append([path.read_bytes() for path in here])
    assert len(outputs[0]) >= 8
    assert outputs[0] == outputs[1] == outputs[2]


def test_the_command_converts_and_says_what_the_files_cannot_hold(tmp_path: Path) -> None:
    terminal = Terminal(dict(os.environ), tmp_path)
    save(tmp_path / "a.json", small())
    done = terminal("convert", "a.json", "out", "--from", "coco", "--to", "yolo", "--fmt", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"code": "crowd_dropped", "count": 1} in [{k: row[k] for k in ("code", "count")} for row in rows]
    assert {row["kept_in"] for row in rows} == {"hiveguard.jsonl"}
    assert "out: 2 items with 3 annotations" in done.stderr
    assert "crowd_dropped 1 (kept in hiveguard.jsonl)" in done.stderr
    terminal("convert", "out", "back.json", "--from", "yolo", "--to", "coco")
    assert json.loads((tmp_path / "back.json").read_text()) == small()
    refused = terminal("convert", "a.json", "a.csv", "--from", "coco", "--to", "csv", code=1)
    assert "segmentation_dropped 1" in refused.stderr
    assert not (tmp_path / "a.csv").exists()
    lossy = terminal(
        "convert", "a.json", "a.csv", "--from", "coco", "--to", "csv", "--allow-lossy", "--fmt", "csv"
    )
    table = list(csv.DictReader(io.StringIO(lossy.stdout)))
    assert ("segmentation_dropped", "1", "") in [(row["code"], row["count"], row["kept_in"]) for row in table]
    assert "segmentation_dropped 1 (lost)" in lossy.stderr
    terminal("convert", "a.json", "b", "--from", "coco", "--to", "docx", code=2)


def test_the_module_is_imported_quickly() -> None:
    code = (
        "import sys, hiveguard_pipeline.formats\n"
        "heavy = {'numpy', 'yaml', 'defusedxml', 'imagesize', 'spacy', 'pyarrow'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_format_opens_and_what_is_not_there_is_named() -> None:
    for name in FORMATS:
        assert open_format(name).name == name
    with pytest.raises(BadInputError, match="there is no format 'docx'; there are coco, voc"):
        FormatConverter().convert(input_path="a", input_format="docx", output_path="b", output_format="coco")


def test_what_of_the_input_is_no_annotation_is_told(shared_cases: Path, tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = json.loads((shared_cases / "label-studio" / "lsx_bbox.json").read_text())
    withdrawn = 0
    for task in tasks:
        for one in task.get("annotations", []):
            one["was_cancelled"] = True
            withdrawn += 1
    done = convert(save(tmp_path / "ls.json", tasks), "label-studio", tmp_path / "out.jsonl", "jsonl")
    assert ("label_studio_cancelled_skipped", withdrawn) in [(one.code, one.count) for one in done.notes]
    assert withdrawn > 0


def test_the_table_of_the_docs_is_what_conversions_do(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    pytest.importorskip("datasets")
    pairs = every_pair(tmp_path)
    assert len(pairs) == len(FORMATS) * (len(FORMATS) - 1)
    found = table(pairs)
    before, _, rest = DOCS.read_text().partition(BEGINS)
    written, _, after = rest.partition(ENDS)
    if os.environ.get("HIVEGUARD_WRITE_SNAPSHOTS"):
        DOCS.write_text(f"{before}{BEGINS}\n{found}{ENDS}{after}")
        written = f"\n{found}"
    assert written == f"\n{found}", "docs/formats.md is old: HIVEGUARD_WRITE_SNAPSHOTS=1 writes its table"


def test_the_docs_name_every_feature_and_format() -> None:
    text = DOCS.read_text().partition(BEGINS)[0]
    for feature in Feature:
        assert f"`{feature.value}`" in text
    for name in FORMATS:
        assert f"`{name}`" in text


@pytest.mark.slow
def test_half_a_million_boxes_there_and_back_in_64_mb(tmp_path: Path) -> None:
    count = 25_000
    images = [{"id": n, "file_name": f"{n % 97}/{n}.jpg", "width": 640, "height": 480} for n in range(count)]
    given = small(
        images=images,
        annotations=[
            annotation(n + 1, n * 7919 % count, bbox=[n % 400 + 0.25, n % 300 + 0.5, 100.125, 50.0625])
            for n in range(20 * count)
        ],
    )
    save(tmp_path / "a.json", given)
    code = (
        "import numpy, resource, sys, yaml, hashlib\n"
        "from pathlib import Path\n"
        "from tests.formats.coco_documents import convert\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "folder = Path(sys.argv[1])\n"
        "convert(folder / 'a.json', 'coco', folder / 'yolo', 'yolo')\n"
        "convert(folder / 'yolo', 'yolo', folder / 'b.json', 'coco')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=600, check=True
    )
    assert json.loads((tmp_path / "b.json").read_text()) == given
    assert int(done.stdout) < 64 << 10


@pytest.mark.parametrize("target", ["coco", "csv", "jsonl", "voc"])
def test_sizes_that_the_input_lacks_are_those_of_the_image_files(tmp_path: Path, target: str) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes(picture("orientation_6.jpg"))
    items = [Item("a.jpg"), Item("b.jpg"), Item("c.jpg", width=7, height=8)]
    any_model.write(open_format("jsonl"), tmp_path / "given.jsonl", Header([]), items)
    FormatConverter().convert(
        input_path=tmp_path / "given.jsonl",
        input_format="jsonl",
        output_path=tmp_path / "out",
        output_format=target,
        image_dir=pictures,
        options=Options(allow_lossy=True),
    )
    source = open_source(target, tmp_path / "out", Options(), Losses())
    sizes = {item.name: (item.width, item.height) for item in source.items()}
    assert sizes == {"a.jpg": (2, 3), "b.jpg": (None, None), "c.jpg": (7, 8)}
