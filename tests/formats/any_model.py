"""Headers and items as hypothesis makes them up, and a way through a format and back."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Format, Options, Reading
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.names import checked_name

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAME = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
COORDINATE = st.floats(-1e6, 1e6, allow_nan=False)
LENGTH = st.floats(0, 1e6, allow_nan=False)
BOXES = st.tuples(COORDINATE, COORDINATE, LENGTH, LENGTH)
IDS = st.none() | st.integers(-(2**70), 2**70) | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
EXTRA = st.dictionaries(st.sampled_from(["licence", "Größe", "01", ""]), JSON, max_size=2)


@st.composite
def annotations(draw: st.DrawFn, classes: int, text: str | None) -> Annotation:
    """A box, a mask or a span, with any of the rest."""
    span = None
    if text is not None and draw(st.booleans()):
        start = draw(st.integers(0, len(text)))
        span = (start, draw(st.integers(start, len(text))))
    return Annotation(
        category=draw(st.integers(0, classes - 1)),
        bbox=draw(BOXES) if span is None else draw(st.none() | BOXES),
        segmentation=draw(st.none() | st.lists(st.lists(COORDINATE, min_size=6, max_size=6), min_size=1)),
        rotation=draw(st.none() | st.floats(-360, 360)),
        span=span,
        id=draw(IDS),
        area=draw(st.none() | LENGTH),
        crowd=draw(st.none() | st.booleans()),
        score=draw(st.none() | st.floats(0, 1)),
        annotator=draw(st.none() | TEXT),
        order=draw(st.none() | st.integers(0, 2**40)),
        extra=draw(EXTRA),
    )


def _is_path(name: str) -> bool:
    """Whether an image can have the name; a text can have any."""
    try:
        return bool(checked_name(name, "here"))
    except BadInputError:
        return False


@st.composite
def models(draw: st.DrawFn) -> tuple[Header, list[Item]]:
    """A header of distinct classes, and up to four items."""
    names = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    categories = [
        Category(name, draw(st.none() | st.integers()), draw(st.none() | TEXT), draw(EXTRA)) for name in names
    ]
    items = []
    for name in draw(st.lists(NAME, max_size=4, unique=True)):
        text = draw(st.none() | TEXT if _is_path(name) else TEXT)
        items.append(
            Item(
                name=name,
                annotations=draw(st.lists(annotations(len(names), text), max_size=3)),
                labels=tuple(draw(st.lists(st.integers(0, len(names) - 1), max_size=3, unique=True))),
                id=draw(IDS),
                width=draw(st.none() | st.integers(0, 2**31 - 1)),
                height=draw(st.none() | st.integers(0, 2**31 - 1)),
                text=text,
                split=draw(st.sampled_from([None, "train", "validation", "test"])),
                reviewed=draw(st.sampled_from([None, True, False])),
                extra=draw(EXTRA),
            )
        )
    header = Header(
        categories,
        task_type=draw(st.none() | TEXT),
        info=draw(EXTRA),
        licences=draw(st.lists(EXTRA, max_size=2)),
        extra=draw(EXTRA),
    )
    return header, items


def write(fmt: Format, target: Path, header: Header, items: list[Item], **options: Any) -> Losses:
    """Write a whole model; what could not be written is in what comes back."""
    losses = Losses()
    written = list(fmt.write(header, iter(items), target, Options(**options), losses))
    assert [one.item for one in written] == items
    return losses


def read(fmt: Format, path: Path, **options: Any) -> tuple[Reading, list[Item]]:
    """Read a whole model."""
    reading = fmt.read(path, Options(**options))
    return reading, [one.item for one in reading.reads()]


WRITE = """
import sys
from pathlib import Path
from hiveguard_pipeline.formats import FormatConverter
FormatConverter().convert(
    input_path=sys.argv[1], input_format="jsonl", output_path=sys.argv[2], output_format={name!r}
)
"""


def bytes_of_three_processes(tmp_path: Path, source: Path, name: str) -> set[str]:
    """The digests of what three processes with other hash seeds write."""
    found = set()
    for seed in ("0", "1", "4711"):
        target = tmp_path / f"out-{seed}"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"Etc/GMT+{seed[0]}"}
        run = [sys.executable, "-c", WRITE.format(name=name), str(source), str(target)]
        subprocess.run(run, env=environment, check=True, timeout=120, cwd=Path(__file__).parents[2])
        digest = hashlib.sha256()
        for path in sorted(target.rglob("*")):
            if path.is_file():
                digest.update(str(path.relative_to(target)).encode() + path.read_bytes())
        found.add(digest.hexdigest())
    return found
