"""COCO to YOLO and back: `python -m benchmarks.measured.formats WHO COCO.json FOLDER IMAGES`.

WHO is `ours`, or in the peers' environment (`make peers`) `datumaro`, `supervision` or `globox`. FOLDER gets
what is written; IMAGES holds an image file for each image, which supervision and datumaro ask for. Printed:
seconds each way, memory above what the interpreter and the imports took, and how far the boxes moved.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured.memory import ExtraMemory

Way = Callable[[], Any]


def main() -> None:
    """Run one side and print its figures."""
    who, coco, folder, images = sys.argv[1], *map(Path, sys.argv[2:5])
    there, back, result = {
        "ours": _ours,
        "datumaro": _datumaro,
        "supervision": _supervision,
        "globox": _globox,
    }[who](coco, folder, images)
    gc.collect()
    memory = ExtraMemory()
    seconds = []
    for way in (there, back):
        began = time.perf_counter()
        way()
        seconds.append(time.perf_counter() - began)
    extra = memory.mb()
    print(
        json.dumps(
            {
                "seconds": sum(seconds),
                "there": seconds[0],
                "back": seconds[1],
                "extra_mb": extra,
                **_compared(coco, result()),
            }
        )
    )


def _ours(coco: Path, folder: Path, _: Path) -> tuple[Way, Way, Callable[[], Path]]:
    from hiveguard_pipeline.formats import FormatConverter

    yolo, back = folder / "yolo", folder / "back.json"

    def convert(source: Path, source_format: str, target: Path, target_format: str) -> Any:
        return FormatConverter().convert(
            input_path=source,
            input_format=source_format,
            output_path=target,
            output_format=target_format,
        )

    return (
        lambda: convert(coco, "coco", yolo, "yolo"),
        lambda: convert(yolo, "yolo", back, "coco"),
        lambda: back,
    )


def _datumaro(coco: Path, folder: Path, images: Path) -> tuple[Way, Way, Callable[[], Path]]:
    import datumaro as dm

    given = folder / "given"
    (given / "annotations").mkdir(parents=True)
    (given / "annotations" / "instances_train.json").symlink_to(coco.absolute())
    (given / "images").mkdir()
    (given / "images" / "train").symlink_to(images.absolute())
    # Its YOLO reader wants image files beside the labels, or sizes by name: the sizes are quicker.
    sizes = {
        Path(image["file_name"]).stem: (image["height"], image["width"])
        for image in json.loads(coco.read_text())["images"]
    }

    def there() -> None:
        dm.Dataset.import_from(str(given), "coco_instances").export(str(folder / "yolo"), "yolo")

    def back() -> None:
        yolo = dm.Dataset.import_from(str(folder / "yolo"), "yolo", image_info=sizes)
        yolo.export(str(folder / "back"), "coco_instances")

    return there, back, lambda: next((folder / "back" / "annotations").glob("*.json"))


def _supervision(coco: Path, folder: Path, images: Path) -> tuple[Way, Way, Callable[[], Path]]:
    import supervision as sv

    labels, described, written = folder / "labels", folder / "data.yaml", folder / "back.json"

    def there() -> None:
        dataset = sv.DetectionDataset.from_coco(str(images), str(coco))
        dataset.as_yolo(annotations_directory_path=str(labels), data_yaml_path=str(described))

    def back() -> None:
        dataset = sv.DetectionDataset.from_yolo(str(images), str(labels), str(described))
        dataset.as_coco(annotations_path=str(written))

    return there, back, lambda: written


def _globox(coco: Path, folder: Path, images: Path) -> tuple[Way, Way, Callable[[], Path]]:
    from globox import AnnotationSet

    labels, written = folder / "labels", folder / "back.json"
    names: dict[str, int] = {}

    def there() -> None:
        annotations = AnnotationSet.from_coco(coco)
        names.update({name: number for number, name in enumerate(sorted(annotations._labels()))})
        annotations.save_yolo_v5(labels, label_to_id=names)

    def back() -> None:
        annotations = AnnotationSet.from_yolo_v5(labels, image_folder=images)
        labelled = {str(number): name for name, number in names.items()}
        annotations.map_labels(labelled).save_coco(written, auto_ids=True)

    return there, back, lambda: written


def _compared(coco: Path, result: Path) -> dict[str, Any]:
    """Annotations that are missing, and that have not the box they had, in their image, by file name."""

    def boxes(path: Path) -> dict[str, list[tuple[float, ...]]]:
        document = json.loads(path.read_text())
        names = {image["id"]: Path(image["file_name"]).name for image in document["images"]}
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names.values()}
        for entry in document["annotations"]:
            found[names[entry["image_id"]]].append(tuple(entry["bbox"]))
        return found

    before, after = boxes(coco), boxes(result)
    off, missing = 0.0, 0
    for name, given in before.items():
        found = after.get(name, [])
        missing += max(len(given) - len(found), 0)
        if given and found:
            apart = np.abs(np.array(given)[:, None] - np.array(found)[None]).max(axis=2)
            off = max(off, float(apart.min(axis=1).max()))
    return {"missing": missing, "off": off}


if __name__ == "__main__":
    main()
