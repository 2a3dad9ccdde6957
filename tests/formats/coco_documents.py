"""Small COCO documents for tests, written as files, and a conversion in one line."""

import json
from pathlib import Path
from typing import Any

from hiveguard_pipeline.formats import Conversion, FormatConverter, Options

Document = dict[str, Any]


def small(**changed: Any) -> Document:
    """Two images, three annotations (a crowd among them), category ids with a gap; to be changed by key."""
    document = {
        "info": {"year": 2017},
        "images": [
            {"id": 5, "file_name": "a.jpg", "width": 640, "height": 480},
            {"id": 2, "file_name": "sub dir/b 🦊.jpg", "width": 100, "height": 50, "license": 3},
        ],
        "annotations": [
            annotation(7, 2, category_id=90, bbox=[1, 2.5, 3, 4]),
            annotation(3, 5),
            annotation(9, 2, iscrowd=1, segmentation={"counts": [1, 2, 3], "size": [50, 100]}, area=2),
        ],
        "categories": [
            {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
            {"id": 1, "name": "person", "keypoints": ["nose"]},
        ],
    }
    return document | changed


def annotation(number: Any, image: Any, **changed: Any) -> dict[str, Any]:
    """A box of category 1."""
    plain = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [10.25, 20.5, 30.125, 40.1],
        "area": 1000.5,
        "iscrowd": 0,
    }
    return plain | changed


def save(path: Path, document: Any) -> Path:
    """Write a document, or text as it is."""
    if isinstance(document, bytes):
        path.write_bytes(document)
    else:
        path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def convert(source: Path, source_format: str, target: Path, target_format: str, **options: Any) -> Conversion:
    """One conversion."""
    return FormatConverter().convert(
        input_path=source,
        input_format=source_format,
        output_path=target,
        output_format=target_format,
        options=Options(**options),
    )


def through(folder: Path, document: Document, *formats: str, **options: Any) -> Document:
    """A document through some formats and back to COCO, as it is then."""
    source, source_format = save(folder / "given.json", document), "coco"
    for number, target_format in enumerate([*formats, "coco"]):
        target = folder / f"{number}-{target_format}"
        convert(source, source_format, target, target_format, **options)
        source, source_format = target, target_format
    found: Document = json.loads(source.read_text())
    return found
