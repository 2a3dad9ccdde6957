"""Hugging Face: facts 21 to 24 of the checklist, the way back, and the process it runs in."""

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import FormatConverter, jsonl
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.recognise import format_of

from .any_model import bytes_of_three_processes, models, read, write

datasets = pytest.importorskip("datasets", reason="datasets is not installed (the extra [hf])")
from hiveguard_pipeline.formats.huggingface.format import FORMAT  # noqa: E402

HEADER = Header([Category("dog", 18), Category("cat", 3)])
ITEMS = [
    Item("a.jpg", [Annotation(1, (0.1, 0.2, 3.0, 4.5), id=7, crowd=True)], id=1, width=10, height=20),
    Item("b.jpg", split="validation"),
    Item("c.jpg", [Annotation(0, (1.0, 1.0, 2.0, 2.0), area=3.5)], split="test"),
]


def saved(tmp_path: Path, items: list[Item], header: Header = HEADER) -> Path:
    target = tmp_path / "saved"
    target.mkdir()
    write(FORMAT, target, header, items)
    return target


def test_fact_22_splits_and_columns_as_the_library_reads_them(tmp_path: Path) -> None:
    found = datasets.load_from_disk(str(saved(tmp_path, ITEMS)))
    assert list(found) == ["train", "validation", "test"]
    assert list(found["train"].features) == ["name", "id", "width", "height", "objects"]
    (row,) = found["train"]["objects"][0]
    assert row == {"bbox": [0.1, 0.2, 3.0, 4.5], "category": 1, "area": 13.5, "id": 7, "iscrowd": True}
    label = found["train"].features["objects"].feature["category"]
    assert label.names == ["dog", "cat"]
    assert found["test"]["objects"][0][0]["area"] == 3.5
    assert found["validation"]["objects"][0] == []


def test_fact_22_texts_spans_and_one_class(tmp_path: Path) -> None:
    items = [
        Item("t1", [Annotation(0, span=(0, 3)), Annotation(1, span=(0, 8))], (1,), text="Ada 😀 met"),
        Item("t2", text="", labels=(0,)),
        Item("t3", text="x"),
    ]
    target = saved(tmp_path, items)
    found = datasets.load_from_disk(str(target))["train"]
    assert list(found.features) == ["name", "text", "label", "spans"]
    assert found["label"][:] == [1, 0, None]
    assert found["spans"][0][1] == {"start": 0, "end": 8, "label": 1, "id": None}
    _, back = read(FORMAT, target)
    assert [(one.text, one.labels) for one in back] == [("Ada 😀 met", (1,)), ("", (0,)), ("x", ())]


def test_fact_22_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    write(jsonl.FORMAT, tmp_path / "items.jsonl", HEADER, ITEMS)
    assert len(bytes_of_three_processes(tmp_path, tmp_path / "items.jsonl", "huggingface")) == 1


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("train/state.json", "_data_files", [{"filename": "../../secret.arrow"}]),
        ("train/state.json", "_data_files", [{"filename": "/etc/passwd"}]),
        ("train/state.json", "_data_files", [{"filename": "x" * 300}]),
        ("dataset_dict.json", "splits", ["x" * 300]),
        ("train/state.json", "_data_files", {"filename": "x"}),
        ("dataset_dict.json", "splits", ["train", ".."]),
        ("dataset_dict.json", "splits", {"../other": 1}),
    ],
)
def test_a_data_file_outside_of_the_folder_is_refused_before_it_is_opened(
    file: str, key: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = saved(tmp_path, ITEMS)
    document = json.loads((target / file).read_text())
    (target / file).write_text(json.dumps({**document, key: value}))
    monkeypatch.setattr(datasets, "load_from_disk", lambda _: pytest.fail("it was opened"))
    with pytest.raises(BadInputError, match=f"{file}: {key}: .* Save the dataset again|save the dataset"):
        read(FORMAT, target)


@pytest.mark.parametrize("category", [-1, 2])
def test_fact_21_a_class_that_is_none_is_refused(category: int, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=f"{category} is no class of the header"):
        saved(tmp_path, [Item("a", [Annotation(category, (0.0, 0.0, 1.0, 1.0))])])
    assert not list((tmp_path / "saved").iterdir())


def test_fact_21_minus_one_is_no_class_on_reading(tmp_path: Path) -> None:
    label = datasets.ClassLabel(names=["x", "y"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    rows = {"text": ["p", "q", "r"], "label": [1, -1, None]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "one"))
    reading, back = read(FORMAT, tmp_path / "one")
    assert [one.name for one in reading.header.categories] == ["x", "y"]
    assert [one.labels for one in back] == [(1,), (), ()]
    features = datasets.Features({"name": datasets.Value("string"), "objects": [{"category": label}]})
    rows = {"name": ["p"], "objects": [[{"category": -1}]]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(BadInputError, match="row 1: an object or span with the class -1"):
        read(FORMAT, tmp_path / "two")


def test_fact_23_no_server_is_asked_and_the_process_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    def refuse(*_: Any) -> None:
        raise AssertionError("a server was asked")

    def settings_now() -> tuple[Any, ...]:
        switches = (constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY)
        return (*switches, datasets.config.HF_HUB_OFFLINE, datasets.are_progress_bars_disabled())

    monkeypatch.setattr(socket.socket, "connect", refuse)
    before, environment = settings_now(), dict(os.environ)
    target = saved(tmp_path, ITEMS)
    read(FORMAT, target)
    assert (settings_now(), dict(os.environ)) == (before, environment)


def test_fact_23_the_library_is_offline_while_it_works(tmp_path: Path) -> None:
    from huggingface_hub import constants

    (tmp_path / "saved").mkdir()
    written = FORMAT.write(HEADER, iter(ITEMS), tmp_path / "saved", Options(), losses=None)  # type: ignore[arg-type]
    next(written)
    assert constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_DISABLE_TELEMETRY
    written.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.glob(".rows-*"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=models())
def test_everything_comes_back_through_the_side_car(
    model: tuple[Header, list[Item]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("trip")
    write(jsonl.FORMAT, base / "in.jsonl", *model)
    convert = FormatConverter().convert
    convert(
        input_path=base / "in.jsonl",
        input_format="jsonl",
        output_path=base / "d",
        output_format="huggingface",
    )
    convert(
        input_path=base / "d", input_format="huggingface", output_path=base / "out", output_format="jsonl"
    )
    lines = (base / "out").read_text().splitlines(), (base / "in.jsonl").read_text().splitlines()
    assert sorted(lines[0]) == sorted(lines[1])


def test_an_edit_holds_and_the_rest_is_restored(tmp_path: Path) -> None:
    write(jsonl.FORMAT, tmp_path / "in.jsonl", HEADER, ITEMS)
    convert = FormatConverter().convert
    convert(
        input_path=tmp_path / "in.jsonl",
        input_format="jsonl",
        output_path=tmp_path / "d",
        output_format="huggingface",
    )
    found = datasets.load_from_disk(str(tmp_path / "d"))

    def moved(row: dict[str, Any]) -> dict[str, Any]:
        row["objects"] = [{**one, "bbox": [9.0, 9.0, 1.0, 1.0]} for one in row["objects"]]
        return row

    found["test"] = found["test"].map(moved)
    found.save_to_disk(str(tmp_path / "edited"))
    (tmp_path / "edited" / "hiveguard.jsonl").write_bytes((tmp_path / "d" / "hiveguard.jsonl").read_bytes())
    convert(
        input_path=tmp_path / "edited",
        input_format="huggingface",
        output_path=tmp_path / "out.jsonl",
        output_format="jsonl",
    )
    reading, back = read(jsonl.FORMAT, tmp_path / "out.jsonl")
    assert reading.header == HEADER
    assert back[:2] == ITEMS[:2]
    assert back[2].annotations[0].bbox == (9.0, 9.0, 1.0, 1.0)


@pytest.mark.parametrize("name", ["jsonl", "csv", "label-studio", "coco", "spacy"])
def test_to_huggingface_takes_what_it_recognises(name: str, tmp_path: Path) -> None:
    write(jsonl.FORMAT, tmp_path / "in.jsonl", Header([Category("x")]), [Item("t", labels=(0,), text="Ada")])
    suffix = {"label-studio": ".json", "coco": ".json", "spacy": ""}.get(name, f".{name}")
    given = tmp_path / f"given{suffix}"
    if name == "coco":
        coco = {"images": [{"id": 1, "file_name": "t", "width": 5, "height": 5}], "annotations": []}
        given.write_text(json.dumps({**coco, "categories": [{"id": 1, "name": "x"}]}))
    else:
        FormatConverter().convert(
            input_path=tmp_path / "in.jsonl",
            input_format="jsonl",
            output_path=given,
            output_format=name,
            options=Options(allow_lossy=True),
        )
    assert format_of(given) == name
    found = FormatConverter().to_huggingface(annotations_path=given, output_dir=tmp_path / "hf")
    assert found["train"].num_rows == 1
    assert found["train"]["name"][:] == ["t"]
    again = FormatConverter().to_huggingface(annotations_path=tmp_path / "hf", output_dir=tmp_path / "again")
    assert again["train"]["name"][:] == ["t"]


def test_rotated_boxes_are_written_as_their_envelope(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(0, (10.0, 10.0, 4.0, 2.0), rotation=90.0)])
    (row,) = datasets.load_from_disk(str(saved(tmp_path, [item])))["train"]["objects"][0]
    assert row["bbox"] == pytest.approx([8.0, 10.0, 2.0, 4.0])
    assert row["area"] == 8.0


def test_images_are_read_by_their_path(tmp_path: Path) -> None:
    # As Image() has it in Arrow; the feature itself asks for Pillow.
    image = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    label = datasets.ClassLabel(names=["x"])
    features = datasets.Features({"image": image, "raw": datasets.Value("binary"), "label": label})
    rows = {
        "image": [{"bytes": b"not even an image", "path": "x/a.jpg"}, {"bytes": b"y", "path": None}],
        "raw": [b"\xff", b""],
        "label": [0, 0],
    }
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "one"))
    _, back = read(FORMAT, tmp_path / "one")
    assert [(one.name, one.labels, one.extra) for one in back] == [
        ("x/a.jpg", (0,), {}),
        ("train/2", (0,), {}),
    ]


def test_pushing_asks_the_hub_and_a_refusal_is_told_without_the_token(tmp_path: Path) -> None:
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(401)
            self.end_headers()

        do_GET = do_HEAD = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    write(jsonl.FORMAT, tmp_path / "in.jsonl", HEADER, ITEMS)
    code = (
        "import sys\nfrom hiveguard_pipeline.formats import FormatConverter\n"
        "FormatConverter().to_huggingface("
        "annotations_path=sys.argv[1], output_dir=sys.argv[2], push_to_hub='me/boxes')\n"
    )
    with HTTPServer(("127.0.0.1", 0), Hub) as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_TOKEN": "hf_secret",
            "HF_HOME": str(tmp_path / "home"),
        }
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "in.jsonl"), str(tmp_path / "out")],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        hub.shutdown()
    assert asked
    assert "could not be pushed to me/boxes" in run.stderr
    assert "hf_secret" not in run.stderr
    assert datasets.load_from_disk(str(tmp_path / "out"))["train"].num_rows == 1


def test_what_is_no_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not a folder that `save_to_disk`"):
        FORMAT.read(tmp_path, Options())
    target = saved(tmp_path, ITEMS)
    arrow = next(target.glob("train/*.arrow"))
    arrow.write_bytes(arrow.read_bytes()[:200])
    with pytest.raises(BadInputError, match="saved"):
        read(FORMAT, target)


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    target = saved(tmp_path, ITEMS)
    arrow = next(target.glob("train/*.arrow"))
    arrow.rename(tmp_path / "elsewhere.arrow")
    arrow.symlink_to(tmp_path / "elsewhere.arrow")
    with pytest.raises(BadInputError, match="leads out of the folder"):
        read(FORMAT, target)


def test_without_the_library_the_command_that_installs_it_is_told() -> None:
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from hiveguard_pipeline.formats.huggingface.library import online\n"
        "online()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert "pip install 'hiveguard-pipeline[hf]'" in run.stderr
