"""Valid files of the text formats made wrong by chance, and the readers that they are given to.

As a program it goes on for some seconds and prints what it found:
python -m tests.formats.text_mutations FORMAT SECONDS [FIRST_SEED]
"""

import json
import random
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.registry import open_format

ODD: list[Any] = [
    *(None, True, -1, 0, 1, 3, 2**31, 2**70, -0.0, 0.5, 1e308, -1e308, "", "0", "x", "../x", "/etc", "a\0b"),
    *("\ud800", "😀", "1e5", [], {}, [[]], [None], [1, 2], [1, 2, 3, 4], ["a"], {"a": 1}),
    *([[1, 2], [3, 4], [5, 6]], {"id": 1}, {"hiveguard": {}}, {"item": {}}, [{"result": []}]),
]
PIECES = [
    *(b'"', b"[", b"{", b"}", b"]", b",", b"\\"),
    *(b"NaN", b"1e999", b"\\ud800", b"-", b"\n", b"\r", b"\0", b"\xff"),
]

HEADER = Header([Category("cat", 3), Category("dog", 1)], info={"year": 2026})
IMAGES = [
    Item(
        "x/a.jpg", [Annotation(0, (1.5, 2.0, 3.0, 4.0), [[1, 2, 3, 4, 5, 6]], id=4)], id=1, width=9, height=9
    ),
    Item("b.jpg", labels=(1,), reviewed=True, split="test"),
]
TEXTS = [
    Item(
        "t1",
        [Annotation(0, span=(0, 3), annotator="p"), Annotation(1, span=(4, 9))],
        text="Ada 😀 met Bob",
    ),
    Item("t2", labels=(0, 1), text="x y", split="validation"),
]
TASK = {
    "id": 5,
    "data": {"image": "https://host/a.jpg", "hg_id": "x"},
    "annotations": [
        {
            "id": 6,
            "completed_by": {"email": "a@b"},
            "was_cancelled": False,
            "result": [
                {
                    "id": "r",
                    "to_name": "image",
                    "type": "rectanglelabels",
                    "original_width": 10,
                    "original_height": 20,
                    "value": {
                        "x": 1.5,
                        "y": 2,
                        "width": 3,
                        "height": 4,
                        "rotation": 0,
                        "rectanglelabels": ["a"],
                    },
                    "meta": {
                        "hiveguard": {"id": 1, "bbox": [0.15, 0.4, 0.3, 0.8], "segmentation": [[1, 2, 3]]}
                    },
                },
                {
                    "type": "polygonlabels",
                    "original_width": 10,
                    "original_height": 20,
                    "value": {"points": [[1, 2], [3, 4], [5, 6]], "polygonlabels": ["b"]},
                },
                {"type": "choices", "value": {"choices": ["c"]}},
                {"type": "relation", "from_id": "r", "to_id": "r"},
            ],
        }
    ],
    "predictions": [1],
}
NER = {
    "data": {"text": "😀 Ada", "hg_id": "t", "hg_item": {"item": {"id": 3}, "regions": 1}},
    "annotations": [
        {
            "result": [
                {
                    "type": "labels",
                    "to_name": "text",
                    "value": {"start": 3, "end": 6, "text": "Ada", "labels": ["P"]},
                }
            ]
        }
    ],
}


def changed_json(rng: random.Random, value: Any) -> Any:
    """A JSON value with some of its nodes replaced, dropped or doubled."""
    if rng.random() < 0.008:
        return rng.choice(ODD)
    if isinstance(value, dict):
        found = {key: changed_json(rng, one) for key, one in value.items() if rng.random() > 0.004}
        if value and rng.random() < 0.05:
            found[rng.choice(list(value))] = rng.choice(ODD)
        return found
    if isinstance(value, list):
        found = [changed_json(rng, one) for one in value if rng.random() > 0.004]
        return found * 2 if rng.random() < 0.01 else found
    return value


def changed_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few of them changed, cut, doubled or put in between."""
    data = bytearray(data)
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(5)
        if what == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif what == 1:
            data[at:at] = rng.choice(PIECES) * rng.choice([1, 1, 200])
        elif what == 2:
            del data[at : at + rng.choice([1, 3, 50])]
        elif what == 3:
            data[at:at] = data[at : at + rng.choice([1, 10, 80])]
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def _lines(values: list[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def _jsonl(rng: random.Random, folder: Path) -> Path:
    foreign = [
        {"text": "Ada met", "spans": [{"start": 0, "end": 3, "label": "P"}], "answer": "accept"},
        {"text": "Ada", "label": [[0, 3, "P"]], "id": 4},
        {"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "category": ["c"]}, "width": 4},
        {"text": "z", "cats": {"a": 1.0, "b": 0.0}},
    ]
    path = folder / "in.jsonl"
    if rng.random() < 0.5:
        values = changed_json(rng, foreign)
    else:
        list(open_format("jsonl").write(HEADER, iter(IMAGES + TEXTS), path, Options(), Losses()))
        values = changed_json(rng, [json.loads(line) for line in path.read_bytes().splitlines()])
    path.write_bytes(changed_bytes(rng, _lines(values if isinstance(values, list) else [values])))
    return path


def _csv(rng: random.Random, folder: Path) -> Path:
    path = folder / "in.csv"
    list(open_format("csv").write(HEADER, iter(IMAGES + TEXTS), path, Options(), Losses()))
    rows = [line.split(",") for line in path.read_text().split("\n")]
    for row in rows:
        if rng.random() < 0.3:
            row[rng.randrange(len(row))] = str(rng.choice(ODD)).encode("utf-8", "replace").decode()
    path.write_bytes(changed_bytes(rng, "\n".join(map(",".join, rows)).encode()))
    return path


def _label_studio(rng: random.Random, folder: Path) -> Path:
    tasks: Any = [TASK, NER]
    path = folder / "in.json"
    if rng.random() < 0.3:
        list(open_format("label-studio").write(HEADER, iter(IMAGES + TEXTS), path, Options(), Losses()))
        tasks = json.loads(path.read_bytes())
    path.write_bytes(changed_bytes(rng, json.dumps(changed_json(rng, tasks)).encode()))
    return path


def _spacy(rng: random.Random, folder: Path) -> Path:
    import srsly

    target = folder / "docs"
    target.mkdir()
    list(open_format("spacy").write(HEADER, iter(TEXTS), target, Options(), Losses()))
    for path in target.glob("*.spacy"):
        packed = path.read_bytes()
        if rng.random() < 0.8:
            said = srsly.msgpack_loads(zlib.decompress(packed))
            for key, value in said.items():
                if isinstance(value, bytes) and rng.random() < 0.2:
                    said[key] = changed_bytes(rng, value)
                elif rng.random() < 0.1:
                    said[key] = rng.choice([*ODD[:7], *ODD[8:18], *ODD[19:]])
            unpacked = srsly.msgpack_dumps(said)
            packed = zlib.compress(changed_bytes(rng, unpacked) if rng.random() < 0.4 else unpacked)
        path.write_bytes(changed_bytes(rng, packed) if rng.random() < 0.2 else packed)
    return target


def _huggingface(rng: random.Random, folder: Path) -> Path:
    target = folder / "saved"
    target.mkdir()
    items = [*IMAGES, *TEXTS]
    list(open_format("huggingface").write(HEADER, iter(items), target, Options(), Losses()))
    for path in sorted(one for one in target.rglob("*") if one.is_file()):
        if rng.random() < 0.3:
            data = path.read_bytes()
            if path.suffix == ".json" and rng.random() < 0.7:
                data = json.dumps(changed_json(rng, json.loads(data))).encode()
            path.write_bytes(changed_bytes(rng, data))
    return target


MAKERS: dict[str, Callable[[random.Random, Path], Path]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "label-studio": _label_studio,
    "spacy": _spacy,
    "huggingface": _huggingface,
}


def try_one(name: str, seed: int, folder: Path) -> bool:
    """Read a file that a seed made wrong; True if it was read, False if it was refused with its name.

    What could be read is written again as JSONL, so that no value is let in that cannot be put out, and in
    another format, which may refuse it.
    """
    rng = random.Random(seed)
    path = MAKERS[name](rng, folder)
    try:
        reading = open_format(name).read(path, Options(allow_lossy=rng.random() < 0.5))
        items = [read.item for read in reading.reads()]
    except BadInputError as error:
        if str(folder) not in str(error):
            raise ValueError(f"no file is named: {error}") from None
        return False
    list(open_format("jsonl").write(reading.header, iter(items), folder / "out.jsonl", Options(), Losses()))
    back = open_format("jsonl").read(folder / "out.jsonl", Options())
    assert [read.item for read in back.reads()] == items
    target = rng.choice(["coco", "voc", "yolo", "csv", "label-studio"])
    place = folder / "other"
    if open_format(target).has_side_car:
        place.mkdir()
    with suppress(BadInputError):
        written = open_format(target).write(reading.header, iter(items), place, Options(), Losses())
        assert [one.item for one in written] == items
    return True


def main() -> None:
    """Try seeds one after another until the time is over."""
    name, seconds, seed = sys.argv[1], float(sys.argv[2]), int([*sys.argv, "0"][3])
    end, tried, read = time.monotonic() + seconds, 0, 0
    seen: set[str] = set()
    while time.monotonic() < end:
        folder = Path(tempfile.mkdtemp())
        try:
            read += try_one(name, seed, folder)
        except BaseException as error:
            text = traceback.format_exc()
            key = text[text.rfind("  File") :].split("\n")[0] + type(error).__name__
            if key not in seen:
                seen.add(key)
                print(f"{name} seed {seed}: {text[-900:]}", flush=True)
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            shutil.rmtree(folder)
        tried, seed = tried + 1, seed + 1
    print(f"{name}: {tried} tried, {read} read, {len(seen)} kinds of failures; next seed {seed}", flush=True)


if __name__ == "__main__":
    main()
