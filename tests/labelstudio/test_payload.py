"""What is sent and what is taken: every payload is checked here, since a server takes anything."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.labelstudio import regions
from hiveguard_pipeline.labelstudio.payload import (
    Sent,
    UnsentError,
    checked_root,
    chunks_of,
    prediction,
    task_data,
)
from hiveguard_pipeline.labelstudio.regions import RegionFault, answer_of
from hiveguard_pipeline.labelstudio.templates import (
    Shape,
    instructions_of,
    label_config,
    offered,
    same_config,
    shape_of,
    title_of,
)
from hiveguard_pipeline.rules.structured.answer import canonical
from hiveguard_pipeline.store.datasets import Dataset
from tests.labelstudio.running import box, choice, span

CLASSES = ("cat", "dog")
CHOICES = Shape("choice", "image", "choices", CLASSES, None)
BOXES = Shape("label", "image", "rectanglelabels", CLASSES, "boxes")
SPANS = Shape("label", "text", "labels", CLASSES, "spans")
TEXT = "🐝🐝 Ada met 👩‍🚀 Grace"


def dataset(task_type: str, modality: str, classes: tuple[str, ...] | None, name: str = "pets") -> Dataset:
    return Dataset("1", name, task_type, modality, classes)


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
).filter(lambda name: not name.startswith("$"))


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=12, unique=True), st.sampled_from(["bbox", "ner", "other"]))
def test_a_config_offers_the_classes_as_they_are_written_or_refuses_them(names: list[str], task: str) -> None:
    modality = {"bbox": "image", "ner": "text", "other": "audio"}[task]
    data = dataset(task, modality, tuple(names))
    if any(
        (letter < " " and letter not in "\t\n\r") or letter in "\ufffe\uffff" for letter in "".join(names)
    ):
        with pytest.raises(BadInputError, match="XML"):
            shape_of(data)
        return
    shape = shape_of(data)
    config = label_config(shape)
    assert offered(config, shape) == names
    assert same_config(config, label_config(shape, hotkeys=True), shape)
    assert not same_config(config, label_config(Shape(*_first_of(shape), ("other",), shape.part)), shape)


def _first_of(shape: Shape) -> tuple[str, str, str]:
    return shape.from_name, shape.to_name, shape.kind


def test_hotkeys_titles_and_instructions() -> None:
    view = ET.fromstring(label_config(CHOICES, hotkeys=True))
    assert [child.get("hotkey") for child in view.iter("Choice")] == ["1", "2"]
    assert not any(child.get("hotkey") for child in ET.fromstring(label_config(CHOICES)).iter("Choice"))
    assert (
        title_of(dataset("x", "image", CLASSES, "ab")),
        title_of(dataset("x", "image", CLASSES, "abc")),
    ) == (
        "dataset ab",
        "abc",
    )
    assert instructions_of("a <script>\n\nb & c\n") == "a &lt;script&gt;<br>\n<br>\nb &amp; c"
    for classes, why in ((None, "takes any answer"), (("$a", "b"), "rename"), (("a\x01", "b"), "rename")):
        with pytest.raises(BadInputError, match=why):
            shape_of(dataset("x", "image", classes))
    assert offered("<View>", CHOICES) is None
    assert offered("<View><Choices name='other' toName='image'/></View>", CHOICES) is None


@pytest.mark.parametrize(
    ("result", "shape", "reason"),
    [
        (None, CHOICES, regions.BAD_REGION),
        (["x"], CHOICES, regions.BAD_REGION),
        ([{"type": "choices"}], CHOICES, regions.BAD_REGION),
        ([], CHOICES, regions.NO_CHOICE),
        ([*choice("cat"), *choice("dog")], CHOICES, regions.SEVERAL_CLASSES),
        ([{**choice("cat")[0], "value": {"choices": []}}], CHOICES, regions.NO_CHOICE),
        ([{**choice("cat")[0], "value": {"choices": [7]}}], CHOICES, regions.NO_CHOICE),
        ([{**choice("cat")[0], "from_name": "label"}], CHOICES, regions.WRONG_CONTROL),
        ([{**choice("cat")[0], "to_name": "text"}], CHOICES, regions.WRONG_CONTROL),
        ([{**choice("cat")[0], "type": "labels"}], CHOICES, regions.WRONG_CONTROL),
        ([{**box(1, 1, 5, 5, "cat"), "type": "brushlabels"}], BOXES, regions.WRONG_CONTROL),
        ([box(-1, 1, 5, 5, "cat")], BOXES, regions.BOX_OUTSIDE),
        ([box(101, 1, 5, 5, "cat")], BOXES, regions.BOX_OUTSIDE),
        ([box(1, 97, 5, 5, "cat")], BOXES, regions.BOX_OUTSIDE),
        ([box(1, 1, 0, 5, "cat")], BOXES, regions.NEGATIVE_SIZE),
        ([box(1, 1, 5, -5, "cat")], BOXES, regions.NEGATIVE_SIZE),
        ([box(1, 1, float("nan"), 5, "cat")], BOXES, regions.BAD_REGION),
        ([box(1, 1, "5", 5, "cat")], BOXES, regions.BAD_REGION),  # type: ignore[arg-type]
        ([box(0, 0, 5, 5, "cat", rotation=180)], BOXES, regions.BOX_OUTSIDE),
        ([box(1, 1, 5, 5, "cat", rotation=float("inf"))], BOXES, regions.BAD_REGION),
        ([{**box(1, 1, 5, 5, "cat"), "original_width": 0}], BOXES, regions.NO_SIZE),
        ([{**box(1, 1, 5, 5, "cat"), "image_rotation": 90}], BOXES, regions.IMAGE_TURNED),
        ([span(3, 6, "Grace", "cat")], SPANS, regions.BAD_SPAN),
        ([span(6, 3, "", "cat")], SPANS, regions.BAD_SPAN),
        ([span(3, 999, "Ada", "cat")], SPANS, regions.BAD_SPAN),
        ([span(3.0, 6, "Ada", "cat")], SPANS, regions.BAD_REGION),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_with_its_reason(result: Any, shape: Shape, reason: str) -> None:
    with pytest.raises(RegionFault) as fault:
        answer_of(result, shape, TEXT if shape.part == "spans" else None)
    assert str(fault.value) == reason


def test_answers_are_read_with_what_people_add_beside_them() -> None:
    note = {"type": "textarea", "from_name": "why", "to_name": "image", "value": {"text": ["blurred"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    assert answer_of([*choice("wolf"), note], CHOICES, None) == ("wolf", [regions.REGION_ASIDE])
    assert answer_of([relation], BOXES, None) == ('{"boxes": []}', [regions.REGION_ASIDE])
    start = TEXT.index("Grace")
    utf16 = len(TEXT[:start].encode("utf-16-le")) // 2
    for offset in (start, utf16):
        answer, _ = answer_of([span(offset, offset + 5, "Grace", "dog")], SPANS, TEXT)
        assert json.loads(answer)["spans"] == [{"start": start, "end": start + 5, "label": "dog"}]
    answer, notes = answer_of([box(10, 10, 20, 40, "cat", rotation=90)], BOXES, None)
    assert json.loads(answer)["boxes"][0]["bbox"] == pytest.approx([0, 20, 20, 40])
    assert notes == [regions.ROTATION_DROPPED]
    two = box(1, 1, 5, 5, "cat")
    two["value"]["rectanglelabels"] = ["cat", "dog"]
    assert [one["label"] for one in json.loads(answer_of([two], BOXES, None)[0])["boxes"]] == ["cat", "dog"]


SIDES = st.floats(0.01, 4000, allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), max_size=5))
def test_boxes_come_back_from_a_prediction_as_they_went(sides: list[tuple[float, ...]]) -> None:
    marks = [{"label": "cat", "bbox": [x / 2, y / 2, w / 2, h / 2]} for x, y, w, h in sides]
    answer = canonical(json.dumps({"boxes": marks}))
    found = prediction(
        Sent("i", "e", "https://x/y", "image", None, 4000, 4000, answer, 1), BOXES, "hiveguard-model-1"
    )
    assert found is not None
    back, notes = answer_of(json.loads(json.dumps(found["result"])), BOXES, None)
    assert (canonical(back), notes) == (answer, [])


@settings(deadline=None)
@given(st.data())
def test_spans_come_back_from_a_prediction_as_they_went(data: st.DataObject) -> None:
    text = data.draw(st.text(st.sampled_from("aé🐝👩‍🚀 \n"), min_size=1, max_size=30).filter(str.strip))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    answer = canonical(json.dumps({"spans": [{"start": start, "end": end, "label": "cat"}]}))
    found = prediction(Sent("i", "e", "e", "text", text, None, None, answer, None), SPANS, "v")
    assert found is not None
    assert "score" not in found
    assert canonical(answer_of(found["result"], SPANS, text)[0]) == answer


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        (CHOICES, None),
        (CHOICES, "wolf"),
        (BOXES, '{"boxes":[{"label":"cat","bbox":[1,1,5,5]}]}'),  # the size is not known
        (BOXES, "no JSON"),
        (SPANS, '{"spans":[{"start":0,"end":99,"label":"cat"}]}'),
    ],
)
def test_a_proposal_that_cannot_be_shown_is_not_sent(shape: Shape, answer: str | None) -> None:
    item = Sent("i", "e", "some text", shape.to_name, None, None, None, answer, 500_000)
    assert prediction(item, shape, "v") is None


@pytest.mark.parametrize(
    ("modality", "data_ref", "root", "sent"),
    [
        ("image", "https://e.org/a b.png", None, "https://e.org/a b.png"),
        ("image", "s3://bucket/a.png", None, "s3://bucket/a.png"),
        ("image", "/data/local-files/?d=a.png", None, "/data/local-files/?d=a.png"),
        ("image", "data:image/png;base64,AAAA", None, "data:image/png;base64,AAAA"),
        ("image", "day 1/ä.png", "https://m.org/x", "https://m.org/x/day%201/%C3%A4.png"),
        ("image", "/srv/a.png", "/data/local-files/?d=", "/data/local-files/?d=srv/a.png"),
        ("audio", "https://e.org/a.wav", None, "https://e.org/a.wav"),
        ("text", "Buy now", None, "Buy now"),
    ],
)
def test_what_a_task_shows(modality: str, data_ref: str, root: str | None, sent: str) -> None:
    data = task_data(Sent("i", "e", data_ref, modality), checked_root(root))
    assert data == {"hg_id": "i", "external_id": "e", modality: sent}


@pytest.mark.parametrize(
    ("modality", "data_ref", "root", "reason"),
    [
        ("image", "a.png", None, "no_address"),
        ("image", "javascript:alert(1)", "https://m.org", "unsafe_address"),
        ("image", "JavaScript://e.org/%0aalert(1)", "https://m.org", "unsafe_address"),
        ("image", "data:text/html,<script>", "https://m.org", "unsafe_address"),
        ("image", "data:image/svg+xml,<svg onload=x>", None, "unsafe_address"),
        ("image", "file:///etc/passwd", "https://m.org", "unsafe_address"),
        ("image", "//e.org/a.png", "https://m.org", "unsafe_address"),
        ("image", "../../a.png", "https://m.org", "unsafe_address"),
        ("image", "http://[bad", None, "unsafe_address"),
        ("audio", "data:image/png;base64,AAAA", None, "unsafe_address"),
        ("text", "https://e.org/a.txt", None, "no_text"),
        ("text", "  ", None, "no_text"),
    ],
)
def test_what_a_task_must_not_show(modality: str, data_ref: str, root: str | None, reason: str) -> None:
    with pytest.raises(UnsentError, match=f"^{reason}$"):
        task_data(Sent("i", "e", data_ref, modality), root)


def test_a_media_root_is_an_address() -> None:
    for root in ("photos", "javascript:x", "/srv/photos", "https://"):
        with pytest.raises(BadInputError, match="--media-root"):
            checked_root(root)


@settings(deadline=None)
@given(st.lists(st.integers(1, 400), max_size=20), st.integers(1, 5), st.integers(1, 600))
def test_chunks_hold_all_in_order_and_no_more_than_they_may(sizes: list[int], most: int, size: int) -> None:
    tasks: list[dict[str, Any]] = [{"n": n, "x": "x" * length} for n, length in enumerate(sizes)]
    chunks = chunks_of(tasks, most, size)
    assert [task for chunk in chunks for task in chunk] == tasks
    for chunk in chunks:
        assert 1 <= len(chunk) <= most
        assert len(chunk) == 1 or sum(len(json.dumps(task)) for task in chunk) <= size
