"""Two files of annotations compared: how they are read, what is said of them, what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality import QualityAssurance

A = {"x1": "cat", "x2": "dog", "x3": "cat", "x4": "01", "x5": "dog"}
B = {"x1": "cat", "x2": "cat", "x3": "cat", "x4": "1", "x6": "dog"}


@pytest.fixture
def quality() -> QualityAssurance:
    return QualityAssurance()


def written(folder: Path, name: str, labels: dict[str, str], key: str = "external_id") -> Path:
    """A file of the kind that its name's end says."""
    file = folder / name
    rows = [{key: item, "label": label} for item, label in labels.items()]
    if name.endswith(".csv"):
        text = f"{key},label\n" + "".join(f"{item},{label}\n" for item, label in labels.items())
    elif name.endswith(".jsonl"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        text = json.dumps(rows, indent=1)
    file.write_text(text)
    return file


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_each_kind_of_file_gives_the_same(quality: QualityAssurance, tmp_path: Path, kind: str) -> None:
    a = quality.load_annotations(written(tmp_path, f"a.{kind}", A))
    b = quality.load_annotations(str(written(tmp_path, f"b.{kind}", B)))
    found = quality.compute_agreement(a, b)
    assert (found["items"], found["only_in_a"], found["only_in_b"]) == (4, 1, 1)
    assert found["percent_agreement"] == 0.5
    # Of x1 to x4: cat dog cat 01 against cat cat cat 1; chance is 2/4 x 3/4.
    assert found["cohens_kappa"] == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    assert found["disagreements"] == [
        {"external_id": "x2", "label_a": "dog", "label_b": "cat"},
        {"external_id": "x4", "label_a": "01", "label_b": "1"},
    ]
    assert found["confusion"] == [
        {"label_a": "01", "label_b": "1", "items": 1},
        {"label_a": "dog", "label_b": "cat", "items": 1},
    ]
    assert found["notes"] == []
    low, high = found["intervals"]["cohens_kappa"]
    assert low < found["cohens_kappa"] < high


def test_mappings_and_rows_are_taken_as_files_are(quality: QualityAssurance) -> None:
    rows = [{"external_id": item, "label": label} for item, label in B.items()]
    assert quality.compute_agreement(A, rows) == quality.compute_agreement(A, B)


def test_several_solvers_stand_with_what_more_than_half_say(
    quality: QualityAssurance, tmp_path: Path
) -> None:
    file = tmp_path / "crowd.csv"
    file.write_text(
        "external_id,solver_id,answer\n"
        "x1,u,cat\nx1,v,cat\nx1,w,dog\n"  # two of three
        "x2,u,cat\nx2,v,dog\n"  # torn
        "x3,u,dog\nx3,u,cat\n"  # a solver's later row does not count
    )
    found = quality.load_annotations(file)
    assert found.labels == {"external_id": {"x1": "cat", "x3": "dog"}}
    assert found.contested == ("x2",)
    assert quality.compute_agreement(found, {"x1": "cat"})["contested_in_a"] == ["x2"]


def test_labels_that_are_no_text_are_read_as_they_are_written(
    quality: QualityAssurance, tmp_path: Path
) -> None:
    file = tmp_path / "a.json"
    file.write_text('[{"external_id": 7, "label": 1.0}, {"external_id": "8", "label": true}]')
    assert quality.load_annotations(file).labels == {"external_id": {"7": "1.0", "8": "true"}}


def test_an_undefined_kappa_is_none_and_explained(quality: QualityAssurance) -> None:
    found = quality.compute_agreement({"x": "cat", "y": "cat"}, {"x": "cat", "y": "cat"})
    assert found["percent_agreement"] == 1.0
    assert found["cohens_kappa"] is None
    assert any(note.startswith("cohens_kappa is undefined") for note in found["notes"])


def test_what_is_flagged_has_its_reason_once(quality: QualityAssurance) -> None:
    apart = quality.compute_agreement(A, B)["disagreements"]
    flagged = quality.flag_for_review([*apart, *apart], reason="guide unclear")
    assert flagged == [{**entry, "reason": "guide unclear"} for entry in apart]
    with pytest.raises(BadInputError, match="reason"):
        quality.flag_for_review(apart, reason=" ")
    with pytest.raises(BadInputError, match="external_id or item_id"):
        quality.flag_for_review([{"label_a": "cat"}])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id,label\n1,cat\n", r"line 1: external_id or item_id, and label are wanted.*id, label"),
        ("a.csv", "external_id,label\n1,cat,3\n", "line 2: 3 values, 2 columns"),
        ("a.csv", 'external_id,label\n1,"cat\n', "line 2"),
        ("a.csv", "external_id,label\n1, \n", "item '1' has no label"),
        ("a.csv", "external_id,label\n", "there are no annotations"),
        ("a.csv", "external_id,label\n1,cat\n1,dog\n", "'1' has the labels 'cat' and 'dog'.*solver_id"),
        ("a.jsonl", '{"external_id": "1", "label": "cat"}\n{"external_id"\n', "line 2: this is no JSON"),
        ("a.json", '[{"external_id": "1", "label": ["cat"]}]', "entry 1: label is neither text nor a number"),
        ("a.json", '[{"external_id": "1"}]', "entry 1: external_id or item_id, and label are wanted"),
        ("a.json", "[1]", "entry 1: an object"),
        ("a.json", "[", "this is no JSON"),
        ("a.csv", "", "line 1: .*there are none"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(
    quality: QualityAssurance, tmp_path: Path, name: str, text: str, said: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(BadInputError, match=said) as refused:
        quality.load_annotations(file)
    assert str(file) in str(refused.value)


def test_files_that_have_nothing_in_common_are_refused(quality: QualityAssurance, tmp_path: Path) -> None:
    a = quality.load_annotations(written(tmp_path, "a.csv", A))
    with pytest.raises(BadInputError, match="no item in common"):
        quality.compute_agreement(a, {"other": "cat"})
    by_id = quality.load_annotations(written(tmp_path, "b.csv", B, key="item_id"))
    with pytest.raises(BadInputError, match="give both the same column"):
        quality.compute_agreement(a, by_id)
    with pytest.raises(BadInputError, match="No such file"):
        quality.load_annotations(tmp_path / "none.csv")


def test_the_class_is_there_without_loading_anything_heavy() -> None:
    asked = (
        "import sys; import hiveguard_pipeline.quality; print(*sorted(sys.modules));"
        "from hiveguard_pipeline.quality import QualityAssurance"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    assert {"numpy", "pyarrow", "scipy", "pandas", "dagster"} & set(done.stdout.split()) == set()
