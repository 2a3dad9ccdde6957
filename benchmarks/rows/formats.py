"""COCO to YOLO and back beside datumaro, supervision and globox: time, memory, where the boxes are then."""

import json
import random
import shutil
import struct
import zlib
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.bench import QUICK, Bench, Rows
from benchmarks.processes import ROOT, in_turn, measure
from benchmarks.report import Goal, Row

PYTHON = ROOT / ".peers" / "formats" / "bin" / "python"
PEERS = ("datumaro", "supervision", "globox")
BOXES_AN_IMAGE = 20
MB = 64
WIDTH, HEIGHT = 640, 480
CATEGORIES = (18, 3, 90, 1, 44)


def rows(bench: Bench) -> Rows:
    """All sides take turns on the same document."""
    boxes = 20_000 if bench.sizes is QUICK else 500_000
    coco, images = bench.folder / "formats.json", bench.folder / "formats-images"
    _write_coco(coco, images, boxes)
    peers = PEERS if PYTHON.exists() else ()
    numbers = count()

    def side(who: str) -> dict[str, Any]:
        folder = bench.folder / f"formats-{next(numbers)}"
        folder.mkdir()
        python = {} if who == "ours" else {"python": PYTHON}
        try:
            found: dict[str, Any] = measure("formats", who, coco, folder, images, **python)
        finally:
            shutil.rmtree(folder)
        return found

    results = in_turn(bench.rounds, *(lambda who=who: side(who) for who in ("ours", *peers)))  # type: ignore[misc]
    ours, theirs = results[0], dict(zip(peers, results[1:], strict=True))
    whole = all(entry["missing"] == 0 and entry["off"] == 0 for entry in ours)
    work = f"COCO -> YOLO -> COCO, {boxes:,} boxes in {boxes // BOXES_AN_IMAGE:,} images"
    for who, found in theirs.items() or {"`make peers` installs other people's tools": []}.items():
        note = "ours: every box where it was" if whole else "OURS: BOXES MOVED"
        if found:
            off = max(entry["off"] for entry in found)
            note += f"; {who}: {max(entry['missing'] for entry in found)} missing, off by {off:.1g} px"
        yield Row(
            "formats",
            work,
            [entry["seconds"] for entry in ours],
            who,
            [entry["seconds"] for entry in found],
            Goal("as fast", 1),
            ours_mb=[entry["peak_mb"] for entry in ours],
            beside_mb=[entry["peak_mb"] for entry in found],
            also=whole,
            note=note,
        )
    yield Row(
        "formats",
        "its memory above the interpreter's",
        [entry["extra_mb"] for entry in ours],
        "",
        goal=Goal("under", MB),
        unit="MB",
    )
    shutil.rmtree(images)


def _write_coco(coco: Path, images: Path, boxes: int) -> None:
    """Boxes of two decimals in no order, and an image file for each image, as the peers ask for."""
    chance = random.Random(1)
    images.mkdir()
    entries = []
    for number in range(boxes // BOXES_AN_IMAGE):
        name = f"{number:06d}.jpg"
        _link_picture(images / name, images.with_name("picture.png"))
        entries.append(
            {"id": number * 3 + 5, "file_name": name, "width": WIDTH, "height": HEIGHT, "license": 1}
        )
    annotations = []
    for number in range(boxes):
        x, y = round(chance.uniform(0, 500), 2), round(chance.uniform(0, 300), 2)
        width = round(chance.uniform(1, WIDTH - 0.01 - x), 2)
        height = round(chance.uniform(1, HEIGHT - 0.01 - y), 2)
        annotations.append(
            {
                "id": number + 1,
                "image_id": chance.choice(entries)["id"],
                "category_id": chance.choice(CATEGORIES),
                "bbox": [x, y, width, height],
                "area": round(width * height * 0.7, 4),
                "segmentation": [],
                "iscrowd": 0,
            }
        )
    categories = [{"id": number, "name": f"c{number}", "supercategory": "c"} for number in CATEGORIES]
    document = {
        "info": {},
        "licenses": [{"id": 1, "name": "BY", "url": ""}],
        "images": entries,
        "annotations": annotations,
        "categories": categories,
    }
    coco.write_text(json.dumps(document))


def _link_picture(path: Path, one: Path) -> None:
    """One picture under many names: readers take the kind from its head."""
    if not one.exists():

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\0" * WIDTH) * HEIGHT))
        one.write_bytes(b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b""))
    path.hardlink_to(one)
