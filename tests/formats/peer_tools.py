"""Reads a file or folder with a tool that nobody here wrote: `python peer_tools.py TOOL PATH [IMAGES]`.

Run with the peers' Python (`make peers`). Prints, by image name without folders and suffix, the boxes that
the tool sees as [class, x, y, width, height], and the number of crowds.
"""

import json
import sys
from pathlib import Path
from typing import Any

Boxes = dict[str, list[list[Any]]]


def pycocotools(path: str, _: str) -> Boxes:
    from pycocotools.coco import COCO

    coco = COCO(path)
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    found: Boxes = {}
    for image in coco.loadImgs(coco.getImgIds()):
        entries = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        for entry in entries:
            if entry.get("segmentation"):
                coco.annToMask(entry)
        boxes = [[names[entry["category_id"]], *entry["bbox"]] for entry in entries]
        found[Path(image["file_name"]).stem] = boxes
    return found


def datumaro_coco(path: str, _: str) -> Boxes:
    return _datumaro(path, "coco_instances")


def datumaro_voc(path: str, _: str) -> Boxes:
    return _datumaro(path, "voc_detection")


def _datumaro(path: str, kind: str) -> Boxes:
    import datumaro

    dataset = datumaro.Dataset.import_from(path, kind)
    names = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
    found: Boxes = {}
    for item in dataset:
        found[Path(item.id).name] = [
            [names[one.label], *one.get_bbox()]
            for one in item.annotations
            if one.type
            in (datumaro.AnnotationType.bbox, datumaro.AnnotationType.polygon, datumaro.AnnotationType.mask)
        ]
    return found


def supervision_yolo(path: str, images: str) -> Boxes:
    import supervision

    folder = Path(path)
    return _supervision(
        supervision.DetectionDataset.from_yolo(
            images, str(folder / "labels" / "all"), str(folder / "data.yaml")
        )
    )


def supervision_coco(path: str, images: str) -> Boxes:
    import supervision

    return _supervision(supervision.DetectionDataset.from_coco(images, path))


def _supervision(dataset: Any) -> Boxes:
    found: Boxes = {}
    for name, detections in dataset.annotations.items():
        found[Path(name).stem] = [
            [dataset.classes[int(label)], x1, y1, x2 - x1, y2 - y1]
            for label, (x1, y1, x2, y2) in zip(detections.class_id, detections.xyxy.tolist(), strict=True)
        ]
    return found


def globox_coco(path: str, _: str) -> Boxes:
    from globox import AnnotationSet

    return _globox(AnnotationSet.from_coco(path))


def globox_yolo(path: str, images: str) -> Boxes:
    import yaml
    from globox import AnnotationSet

    names = yaml.safe_load((Path(path) / "data.yaml").read_text())["names"]
    read = AnnotationSet.from_yolo_v5(Path(path) / "labels" / "all", image_folder=Path(images))
    return _globox(read.map_labels({str(number): name for number, name in enumerate(names)}))


def globox_voc(path: str, _: str) -> Boxes:
    from globox import AnnotationSet

    return _globox(AnnotationSet.from_pascal_voc(Path(path) / "Annotations"))


def _globox(annotations: Any) -> Boxes:
    return {
        Path(one.image_id).stem: [[box.label, box.xmin, box.ymin, box.width, box.height] for box in one.boxes]
        for one in annotations
    }


if __name__ == "__main__":
    tool, path, images = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    print(json.dumps(globals()[tool](path, images)))
