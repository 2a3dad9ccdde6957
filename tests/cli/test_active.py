"""`hiveguard active`: settings, models, choices and reports as a user sees them."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal
from tests.learning import evil
from tests.learning.world import label, named, text_dataset, texts_of, without


@pytest.fixture
def topics(home: Terminal) -> Terminal:
    """A home with the dataset `topics`: 60 graduated labels, 60 items without."""
    home("init")
    database = open_database(f"sqlite:///{home.folder / 'home' / 'hiveguard.db'}")
    dataset, labels = text_dataset(database, 120)
    label(database, dataset, named(labels, range(60)))
    return home


def model_file(home: Terminal, name: str = "own.skops") -> Path:
    """A model of the same texts, trained on all of them."""
    texts, labels = texts_of(120)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)
    data = skops.io.dumps(model) if name.endswith(".skops") else pickle.dumps(model)
    (home.folder / name).write_bytes(data)
    return home.folder / name


def test_the_way_from_labels_to_a_queue_and_proposals(topics: Terminal) -> None:
    done = topics("active", "train", "--dataset", "topics", "--fmt", "json")
    assert "model 1 proposes now: the first model" in done.stderr
    assert "labels in re-validation were used too" in done.stderr
    assert "fewer than 500" in done.stderr
    (model,) = topics.rows("active", "models", "--dataset", "topics")
    assert (model["proposes"], model["kind"], model["classes"]) == (True, "weak", 3)
    assert 0.5 < model["accuracy"] <= 1
    (proposed,) = topics.rows("active", "prelabel", "--dataset", "topics")
    assert (proposed["proposals"], proposed["model_id"]) == (60, 1)
    done = topics("active", "select", "--dataset", "topics", "--n", "5", "--fmt", "csv")
    assert "hybrid by model 1, 5 wanted of 60 items, 60 labelled, mean uncertainty" in done.stderr
    assert "note: a query of 5 is more than 5% of the pool of 60" in done.stderr
    assert len(done.stdout.splitlines()) == 6
    queue = topics.rows("active", "queue", "--dataset", "topics")
    assert [row["rank"] for row in queue] == [1, 2, 3, 4, 5]
    drawn = topics.rows("pool", "sample", "--dataset", "topics", "--n", "5", "--seed", "1")
    assert sum(row["queue_rank"] is not None for row in drawn) >= 3
    report = topics.rows("active", "report", "--dataset", "topics")
    assert {(row["proposals"], row["shown"], row["decisions"]) for row in report} == {
        (name, shown, 0) for name in ("all", "right", "wrong", "not known") for shown in (True, False)
    }


def test_settings_are_shown_changed_and_refused(topics: Terminal) -> None:
    rows = topics.rows("active", "settings", "--dataset", "topics", "query_batch_size=7", "blind_share=0.2")
    found = {row["setting"]: row["value"] for row in rows}
    assert (found["query_batch_size"], found["blind_share"], found["image_dir"]) == (7, "0.2", None)
    said = topics.refused("active", "settings", "--dataset", "topics", "strategy=best")
    assert "strategy is one of" in said
    topics.refused("active", "settings", "--dataset", "topics", "strategy", code=2)
    assert len(topics.rows("active", "select", "--dataset", "topics", "--strategy", "random")) == 7


def test_a_model_of_ones_own_is_judged_and_proposes(topics: Terminal) -> None:
    topics("active", "train", "--dataset", "topics")
    path = model_file(topics)
    done = topics("active", "model", "add", path, "--dataset", "topics", "--name", "mine", "--fmt", "json")
    assert "model 2 proposes now: right on" in done.stderr
    path.unlink()  # what was added is a copy
    (row,) = topics.rows("active", "prelabel", "--dataset", "topics")
    assert (row["model_id"], row["proposals"]) == (2, 60)


def test_a_model_that_is_worse_is_not_taken_unless_one_insists(topics: Terminal) -> None:
    topics("active", "train", "--dataset", "topics")
    texts, labels = texts_of(120)
    turned = [{"sport": "food", "food": "music", "music": "sport"}[name] for name in labels]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, turned)
    (topics.folder / "bad.skops").write_bytes(skops.io.dumps(model))
    add = ("active", "model", "add", "bad.skops", "--dataset", "topics")
    assert "model 2 was not taken: worse: right on" in topics(*add).stderr
    assert "model 3 proposes now: taken by hand, though worse" in topics(*add, "--anyway").stderr
    assert [row["proposes"] for row in topics.rows("active", "models", "--dataset", "topics")] == [
        True,
        False,
        False,
    ]


def test_evil_files_are_refused_in_one_line_and_leave_nothing(topics: Terminal) -> None:
    canary = topics.folder / "canary"
    files = {
        "a.skops": evil.with_pickle_inside(canary),
        "b.skops": evil.with_call_inside(canary),
        "c.skops": evil.bomb(),
        "d.pkl": evil.evil_pickle(canary),
        "e.joblib": evil.evil_pickle(canary),
        "f.onnx": evil.onnx_reading("../secret"),
        "g.h5": b"",
    }
    for name, data in files.items():
        (topics.folder / name).write_bytes(data)
        topics.refused("active", "model", "add", name, "--dataset", "topics")
    wrong = "0" * 64
    topics.refused("active", "model", "add", "d.pkl", "--dataset", "topics", "--trust-pickle", wrong)
    assert not canary.exists()
    assert topics.rows("active", "models", "--dataset", "topics") == []
    assert not (topics.folder / "home" / "models").exists()


def test_a_pickle_is_taken_by_its_hash(topics: Terminal) -> None:
    path = model_file(topics, "own.pkl")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    topics("active", "model", "add", path, "--dataset", "topics", "--trust-pickle", digest)
    (row,) = topics.rows("active", "prelabel", "--dataset", "topics")
    assert row["proposals"] == 60


def test_an_onnx_model_takes_vectors_of_ones_own(topics: Terminal) -> None:
    random = np.random.default_rng(0)
    _, labels = texts_of(120)
    middle = {"sport": 0, "food": 1, "music": 2}
    vectors = random.normal(size=(120, 3)) + 4 * np.eye(3)[[middle[name] for name in labels]]
    rows = [f"t{number},{','.join(map(str, row))}" for number, row in enumerate(vectors)]
    (topics.folder / "vectors.csv").write_text("external_id,v0,v1,v2\n" + "\n".join(rows))
    (topics.folder / "own.onnx").write_bytes(evil.linear_onnx(np.eye(3)).SerializeToString())
    topics("active", "settings", "--dataset", "topics", f"embeddings={topics.folder / 'vectors.csv'}")
    add = ("active", "model", "add", "own.onnx", "--dataset", "topics")
    (made,) = topics.rows(*add)  # the classes are the dataset's: sport, food, music
    assert made["accuracy"] > 0.9
    assert len(topics.rows("active", "select", "--dataset", "topics", "--n", "3")) == 3
    assert "is none of topics" in topics.refused(*add, "--classes", "sport,food,films")


def test_a_missing_extra_is_named(topics: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "sklearn")
    said = topics.refused("active", "train", "--dataset", "topics")
    assert said == "hiveguard: sklearn is not installed: pip install 'hiveguard-pipeline[active]'"
    without(monkeypatch, "onnxruntime")
    (topics.folder / "own.onnx").write_bytes(evil.linear_onnx(np.eye(3)).SerializeToString())
    said = topics.refused(
        "active", "model", "add", "own.onnx", "--dataset", "topics", "--features", "embeddings"
    )
    assert "no embeddings" in said
    assert len(topics.rows("active", "select", "--dataset", "topics", "--strategy", "random")) == 60


def test_a_listing_before_anything_was_chosen_is_empty_and_says_how(topics: Terminal) -> None:
    done = topics("active", "queue", "--dataset", "topics", "--fmt", "json")
    assert done.stdout == "[]\n"
    assert "hiveguard active select --dataset topics" in done.stderr
