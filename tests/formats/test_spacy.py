"""spaCy: facts 17 to 20 of the checklist, and the way back through the side-car."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats import FormatConverter
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item

from .any_model import bytes_of_three_processes, read, write

spacy = pytest.importorskip("spacy", reason="spaCy is not installed (the extra [spacy])")
from hiveguard_pipeline.formats import jsonl  # noqa: E402
from hiveguard_pipeline.formats.spacy.format import FORMAT  # noqa: E402

HEADER = Header([Category("PER", 3), Category("LOC", 1)])


def text(name: str, said: str, *spans: tuple[int, int, int], **rest: object) -> Item:
    return Item(name, [Annotation(label, span=(a, b)) for a, b, label in spans], text=said, **rest)  # type: ignore[arg-type]


def folder(tmp_path: Path) -> Path:
    target = tmp_path / "docs"
    target.mkdir()
    return target


def test_fact_17_spans_are_code_points_and_come_back(tmp_path: Path) -> None:
    items = [
        text("a", "😀 Ada Lovelace in Łódź", (2, 14, 0), (18, 22, 1), split="train"),
        text("b", "nothing", split="validation"),
    ]
    target = folder(tmp_path)
    assert not write(FORMAT, target, HEADER, items)
    assert sorted(path.name for path in target.iterdir()) == ["dev-00001.spacy", "train-00001.spacy"]
    reading, back = read(FORMAT, target)
    assert [one.name for one in reading.header.categories] == ["LOC", "PER"]
    assert [(one.text, one.split) for one in back] == [("nothing", "validation"), (items[0].text, "train")]
    assert [(one.span, one.category) for one in back[1].annotations] == [((2, 14), 1), ((18, 22), 0)]
    doc = next(
        spacy.tokens.DocBin().from_disk(target / "train-00001.spacy").get_docs(spacy.blank("en").vocab)
    )
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ada Lovelace", "PER"), ("Łódź", "LOC")]


def test_fact_17_misaligned_spans_are_refused_as_a_list(tmp_path: Path) -> None:
    items = [text("a", "Lovelace wrote", (0, 4, 0)), text("b", "Ada  x", (0, 4, 0), (3, 3, 0), (0, 3, 0))]
    with pytest.raises(BadInputError) as told:
        write(FORMAT, folder(tmp_path), HEADER, items)
    assert "3 spans fit no tokens" in str(told.value)
    for part in ("item a, annotation 1 (0 to 4, 'Love')", "item b, annotation 1", "item b, annotation 2"):
        assert part in str(told.value)


@pytest.mark.parametrize(("mode", "found"), [("contract", (4, 9)), ("expand", (0, 9))])
def test_fact_17_spans_move_when_asked_and_are_counted(
    mode: str, found: tuple[int, int], tmp_path: Path
) -> None:
    target = folder(tmp_path)
    losses = write(FORMAT, target, HEADER, [text("a", "Ada wrote it", (1, 9, 0))], spans=mode)
    assert [(loss.code, loss.count) for loss in losses.rows()] == [(f"span_{mode}ed_to_tokens", 1)]
    _, (back,) = read(FORMAT, target)
    assert back.annotations[0].span == found


def test_a_span_beyond_its_text_is_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    items = [text("a", "Ada", (0, 3, 0), (0, 9, 0), (9, 12, 0))]
    with pytest.raises(BadInputError, match=r"item a, annotation 2.* beyond the text of 3 characters"):
        write(FORMAT, folder(tmp_path), HEADER, items)
    target = tmp_path / "lossy"
    target.mkdir()
    losses = write(FORMAT, target, HEADER, items, allow_lossy=True)
    assert [(loss.code, loss.count) for loss in losses.rows()] == [("spans_beyond_text_dropped", 2)]
    _, (back,) = read(FORMAT, target)
    assert [one.span for one in back.annotations] == [(0, 3)]


def test_fact_18_overlaps_stand_in_spans_sc(tmp_path: Path) -> None:
    item = text("a", "University of Łódź", (0, 18, 0), (14, 18, 1))
    target = folder(tmp_path)
    losses = write(FORMAT, target, HEADER, [item])
    assert [loss.code for loss in losses.rows()] == ["overlapping_spans_not_in_ents"]
    _, (back,) = read(FORMAT, target)
    assert [one.span for one in back.annotations] == [(0, 18), (14, 18)]
    doc = next(
        spacy.tokens.DocBin().from_disk(target / "train-00001.spacy").get_docs(spacy.blank("en").vocab)
    )
    assert [ent.text for ent in doc.ents] == ["University of Łódź"]
    assert [span.label_ for span in doc.spans["sc"]] == ["PER", "LOC"]


def test_fact_19_files_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hiveguard_pipeline.formats.spacy.format.DOCS_IN_A_FILE", 3)
    target = folder(tmp_path)
    write(FORMAT, target, HEADER, [text(str(n), f"Ada {n}", (0, 3, 0)) for n in range(7)])
    assert sorted(path.name for path in target.iterdir()) == [f"train-0000{n}.spacy" for n in (1, 2, 3)]
    _, back = read(FORMAT, target)
    assert [one.text for one in back] == [f"Ada {n}" for n in range(7)]


def test_fact_19_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    items = [
        text(f"t{n}", f"Ada {n} met Bob", (0, 3, n % 2), labels=(1,), split=("train", "validation")[n % 2])
        for n in range(20)
    ]
    write(jsonl.FORMAT, tmp_path / "items.jsonl", HEADER, items)
    assert len(bytes_of_three_processes(tmp_path, tmp_path / "items.jsonl", "spacy")) == 1


def test_fact_20_every_class_stands_in_cats(tmp_path: Path) -> None:
    target = folder(tmp_path)
    write(
        FORMAT, target, HEADER, [text("a", "x", labels=(1,)), text("b", "y", labels=(0, 1)), text("c", "z")]
    )
    docs = list(
        spacy.tokens.DocBin().from_disk(target / "train-00001.spacy").get_docs(spacy.blank("en").vocab)
    )
    assert [doc.cats for doc in docs] == [{"PER": 0.0, "LOC": 1.0}, {"PER": 1.0, "LOC": 1.0}, {}]
    _, back = read(FORMAT, target)
    assert [one.labels for one in back] == [(0,), (1, 0), ()]


@st.composite
def texts(draw: st.DrawFn) -> Item:
    """A text of words, with spans of whole words, and everything a DocBin has no place for."""
    words = draw(st.lists(st.sampled_from(["Ada", "Łódź", "😀", "x", "don"]), min_size=1, max_size=6))
    starts = [sum(len(word) + 1 for word in words[:place]) for place in range(len(words))]
    found = []
    for _ in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, len(words) - 1))
        last = draw(st.integers(first, len(words) - 1))
        found.append(
            Annotation(
                draw(st.integers(0, 1)),
                span=(starts[first], starts[last] + len(words[last])),
                id=draw(st.none() | st.integers() | st.text("ab")),
                score=draw(st.none() | st.floats(0, 1)),
                annotator=draw(st.none() | st.text("cd")),
            )
        )
    labels = tuple(draw(st.lists(st.integers(0, 1), unique=True, max_size=2)))
    split = draw(st.sampled_from([None, "train", "validation", "test"]))
    return Item("", found, labels, text=" ".join(words), split=split, reviewed=draw(st.booleans()))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(items=st.lists(texts(), min_size=1, max_size=6))
def test_everything_comes_back_through_the_side_car(items: list[Item], tmp_path_factory: object) -> None:
    base: Path = tmp_path_factory.mktemp("trip")  # type: ignore[attr-defined]
    for place, item in enumerate(items):
        item.name = f"n{place}"
    write(jsonl.FORMAT, base / "in.jsonl", HEADER, items)
    convert = FormatConverter().convert
    convert(input_path=base / "in.jsonl", input_format="jsonl", output_path=base / "d", output_format="spacy")
    convert(
        input_path=base / "d", input_format="spacy", output_path=base / "out.jsonl", output_format="jsonl"
    )
    assert (base / "out.jsonl").read_text() == (base / "in.jsonl").read_text()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hiveguard_pipeline.formats.spacy.files.LARGEST_UNPACKED", 4 << 20)
    (tmp_path / "bomb.spacy").write_bytes(zlib.compress(bytes(16 << 20)))
    with pytest.raises(BadInputError, match=r"bomb\.spacy: unpacked it has more than 4 MB"):
        read(FORMAT, tmp_path / "bomb.spacy")


def test_items_without_text_and_languages_without_tokenizer_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="spaCy files hold texts only"):
        write(FORMAT, folder(tmp_path), HEADER, [Item("a.jpg")])
    with pytest.raises(BadInputError, match="no tokenizer for the language 'qq'"):
        write(FORMAT, tmp_path / "docs", HEADER, [text("a", "x")], language="qq")


def test_without_spacy_the_command_that_installs_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.spacy").write_bytes(b"")
    code = (
        "import sys; sys.modules['spacy'] = None\n"
        "from pathlib import Path\n"
        "from hiveguard_pipeline.formats.spacy.format import FORMAT\n"
        "from hiveguard_pipeline.formats.format import Options\n"
        "FORMAT.read(Path(sys.argv[1]), Options())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.spacy")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert "pip install 'hiveguard-pipeline[spacy]'" in run.stderr


def test_no_texts_at_all_can_be_read_back(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    for source, name, target, wanted in (
        ("none.jsonl", "jsonl", "docs", "spacy"),
        ("docs", "spacy", "back.jsonl", "jsonl"),
    ):
        done = FormatConverter().convert(
            input_path=tmp_path / source,
            input_format=name,
            output_path=tmp_path / target,
            output_format=wanted,
        )
        assert done.items == 0
    assert read(FORMAT, tmp_path / "docs" / "train-00001.spacy")[1] == []
