"""Every pair of formats, tried on a sample: what survives, and with which code it does not."""

from dataclasses import dataclass, field
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import FORMATS, FormatConverter, Options, open_format
from hiveguard_pipeline.formats.convert import open_source
from hiveguard_pipeline.formats.features import FeatureCounter
from hiveguard_pipeline.formats.format import Feature
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from tests.formats.any_model import write

SAMPLES = ("images", "texts")


@dataclass
class Pair:
    """One direction. survives: features; lost: codes; refused: why nothing of a sample can be written."""

    survives: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


def image_sample() -> tuple[Header, list[Item]]:
    """Images with all that an image can carry."""
    triangle = [[10.0, 10.0, 60.0, 10.0, 60.0, 50.0]]
    boxes = [
        Annotation(0, bbox=(10.5, 20.25, 30.0, 40.0), id=7, area=1200.0, crowd=False, score=0.5, order=2),
        Annotation(
            1, bbox=(10.0, 10.0, 50.0, 40.0), segmentation=triangle, id=3, area=1000.0, crowd=False, order=0
        ),
        Annotation(
            1, bbox=(5.0, 5.0, 20.0, 10.0), id=9, area=200.0, crowd=True, order=1, extra={"note": "far"}
        ),
    ]
    items = [
        Item("a/one.jpg", boxes[:1], id=5, width=200, height=100, split="train"),
        Item("two.jpg", boxes[1:], id=2, width=640, height=480, split="validation", extra={"licence": 1}),
        Item("empty.jpg", id=8, width=64, height=48, reviewed=True),
        Item(
            "three.jpg",
            [
                Annotation(0, bbox=(30.0, 30.0, 20.0, 10.0), rotation=30.0, id=11, annotator="ann", order=3),
                Annotation(0, bbox=(31.0, 30.0, 20.0, 10.0), id=12, annotator="bob", order=4),
            ],
            id=9,
            width=100,
            height=100,
        ),
        Item("four.jpg", labels=(0, 1), id=10, width=10, height=10),
    ]
    categories = [Category("cat", 18, "animal"), Category("dog", 3), Category("unused", 90)]
    header = Header(
        categories, task_type="bbox", info={"year": 2026}, licences=[{"id": 1, "name": "BY"}], extra={"x": 1}
    )
    return header, items


def text_sample() -> tuple[Header, list[Item]]:
    """Texts with all that a text can carry."""
    text = "Ada 🦊 met Bob in Paris."
    spans = [
        Annotation(0, span=(0, 3), id=1, order=0),
        Annotation(0, span=(10, 13), id=2, order=1, score=0.5),
        Annotation(1, span=(10, 22), id=3, order=2),
    ]
    items = [
        Item("t1", spans, id=1, text=text, split="train"),
        Item("t2", labels=(1,), id=2, text="Rome is old.", split="validation", extra={"source": "web"}),
        Item("t3", id=3, text="Nothing here.", reviewed=True),
    ]
    header = Header([Category("person", 1), Category("place", 2)], task_type="ner")
    return header, items


def every_pair(folder: Path) -> dict[tuple[str, str], Pair]:
    """All pairs of two formats. folder: an empty one, for the files."""
    given: dict[tuple[str, str], Path | str] = {}
    for sample, model in zip(SAMPLES, (image_sample(), text_sample()), strict=True):
        write(open_format("jsonl"), folder / f"{sample}.jsonl", *model)
        for name in FORMATS:
            given[name, sample] = _made(folder, sample, name)
    found = {}
    for source in FORMATS:
        for target in FORMATS:
            if source != target:
                found[source, target] = _tried(folder, given, source, target)
    return found


def _made(folder: Path, sample: str, name: str) -> Path | str:
    """The sample in a format, without a side-car; or why it cannot be."""
    path = folder / f"{sample}-{name}"
    try:
        _convert(folder / f"{sample}.jsonl", "jsonl", path, name)
    except BadInputError as error:
        return str(error)
    if path.is_dir():
        (path / "hiveguard.jsonl").unlink()
    return path


def _tried(folder: Path, given: dict[tuple[str, str], Path | str], source: str, target: str) -> Pair:
    pair = Pair()
    for sample in SAMPLES:
        path = given[source, sample]
        if isinstance(path, str):
            continue
        present = _present(source, path, folder)
        output = folder / f"{sample}-{source}-{target}"
        try:
            lost = _convert(path, source, output, target, image_dir=_pictures(folder))
        except BadInputError:
            pair.refused.append(sample)
            continue
        if open_format(target).has_side_car:
            _assert_restored(path, source, output, target)
        pair.lost |= lost
        pair.survives |= present - lost
    pair.survives -= pair.lost
    return pair


def _assert_restored(path: Path, source: str, output: Path, target: str) -> None:
    """By its side-car an output folder says all that its input said."""
    texts = []
    for number, (folder, name) in enumerate([(path, source), (output, target)]):
        said = output.with_name(f"{output.name}-{number}.jsonl")
        _convert(folder, name, said, "jsonl", image_dir=_pictures(output.parent))
        texts.append(said.read_bytes())
    assert texts[0] == texts[1], f"{source} to {target}: the side-car does not restore all"


def _present(name: str, path: Path, folder: Path) -> set[str]:
    """The features that a file carries, by the codes of their losses."""
    losses = Losses()
    source = open_source(name, path, Options(image_dir=_pictures(folder), allow_lossy=True), Losses())
    counter = FeatureCounter(source.header, (), losses)
    for item in source.items():
        counter.count(item)
    counter.finish()
    return set(losses.by_code)


def _convert(path: Path, source: str, output: Path, target: str, image_dir: Path | None = None) -> set[str]:
    done = FormatConverter().convert(
        input_path=path,
        input_format=source,
        output_path=output,
        output_format=target,
        image_dir=image_dir,
        options=Options(allow_lossy=True),
    )
    return {loss.code for loss in (*done.kept, *done.lost)}


def _pictures(folder: Path) -> Path:
    """The image files of the sample, for formats that do not say sizes."""
    from tests.formats.test_side_car import png

    images = folder / "pictures"
    if not images.exists():
        for item in image_sample()[1]:
            assert item.width is not None
            assert item.height is not None
            path = images / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(item.width, item.height))
    return images


def table(pairs: dict[tuple[str, str], Pair]) -> str:
    """Markdown, a line a pair."""
    lines = ["| from | to | survives in the files | does not, by code |", "|---|---|---|---|"]
    words = {feature.value: feature.name.lower().replace("_", " ") for feature in Feature}
    for (source, target), pair in pairs.items():
        survives = ", ".join(sorted(words[code] for code in pair.survives))
        lost = ", ".join(f"`{code}`" for code in sorted(pair.lost))
        if pair.refused:
            lost = "; ".join(filter(None, [lost, f"{' and '.join(pair.refused)}: refused"]))
        lines.append(f"| {source} | {target} | {survives or '-'} | {lost or '-'} |")
    return "\n".join(lines) + "\n"
