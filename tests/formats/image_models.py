"""Images with boxes as hypothesis makes them up, such as VOC and YOLO can both be asked to write."""

import itertools
from pathlib import Path

from hypothesis import strategies as st

from hiveguard_pipeline.formats.convert import FormatConverter
from hiveguard_pipeline.formats.jsonl.format import FORMAT as JSONL
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from tests.formats.any_model import EXTRA, JSON, write

NAMES = ["a.jpg", "b b.PNG", "sub/a.jpg", "images/a.jpg", "labels/x/images/ü.jpeg", "🦊/1.2.jpg", "no suffix"]
CLASSES = [
    "cat",
    "no",
    "1",
    " on ",
    "dining table",
    "a: b",
    "<&>",
    "🦊",
    "null",
    "~",
    "- x",
    "#",
    "é",
    "background",
]
SIDE = st.integers(1, 5000)
SHARE = st.floats(0, 1)


@st.composite
def image_models(draw: st.DrawFn, only_boxes: bool = False) -> tuple[Header, list[Item]]:
    """A header and up to four images; with only_boxes nothing but boxes inside them, splits and sizes."""
    names = draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=5, unique=True))
    categories = [Category(name, id=draw(st.none() | st.integers(1, 90))) for name in names]
    if only_boxes:
        categories = [Category(name) for name in names]
    items = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        width, height = draw(SIDE), draw(SIDE)
        annotations = []
        for _ in range(draw(st.integers(0, 3))):
            left, top, across, down = draw(SHARE), draw(SHARE), draw(SHARE), draw(SHARE)
            annotation = Annotation(
                category=draw(st.integers(0, len(names) - 1)),
                bbox=(
                    left * width,
                    top * height,
                    across * (width - left * width),
                    down * (height - top * height),
                ),
            )
            if not only_boxes:
                if draw(st.integers(0, 4)) == 0:
                    annotation.bbox = None
                annotation.segmentation = draw(
                    st.none()
                    | st.just([[1.0, 1.0, 5.5, 1.0, 5.5, 7.25]])
                    | st.just([[1, 1, 5, 1, 5, 7], [8, 8, 9, 8, 9, 9]])
                    | st.just({"counts": "01", "size": [2, 3]})
                )
                annotation.id = draw(st.none() | st.integers(0, 2**40))
                annotation.crowd = draw(st.none() | st.booleans())
                annotation.rotation = draw(st.none() | st.floats(-360, 360))
                annotation.score = draw(st.none() | SHARE)
                annotation.area = draw(st.none() | st.floats(0, 1e6))
                annotation.extra = draw(EXTRA | st.dictionaries(st.sampled_from(VOC_KEYS), JSON, max_size=2))
            annotations.append(annotation)
        item = Item(
            name,
            annotations,
            width=width,
            height=height,
            split=draw(st.sampled_from([None, "train", "validation", "test"])),
        )
        if not only_boxes:
            item.id = draw(st.none() | st.integers(0, 2**40))
            item.extra = draw(EXTRA | st.dictionaries(st.sampled_from(VOC_KEYS), JSON, max_size=2))
        items.append(item)
    return Header(categories), items


VOC_KEYS = [
    *(
        "difficult",
        "truncated",
        "pose",
        "part",
        "depth",
        "size",
        "name",
        "object",
        "path",
        "folder",
        "actions",
    ),
    *("filename", "bndbox", "segmented", "source"),
]


def there_and_back(root: Path, header: Header, items: list[Item], kind: str) -> None:
    """JSONL, the format, JSONL: not a byte may differ."""
    write(JSONL, root / "given.jsonl", header, items)
    for (source, source_format), (target, target_format) in itertools.pairwise(
        [("given.jsonl", "jsonl"), ("folder", kind), ("back.jsonl", "jsonl")]
    ):
        FormatConverter().convert(
            input_path=root / source,
            input_format=source_format,
            output_path=root / target,
            output_format=target_format,
        )
    assert (root / "back.jsonl").read_bytes() == (root / "given.jsonl").read_bytes()
