"""Training: held-out items never move, and a worse model does not replace a better one."""

import hashlib
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.judgement import (
    LEAST_JUDGES,
    SURPRISE,
    compare,
    interval_of_share,
    mcnemar,
)
from hiveguard_pipeline.learning.metrics import ENOUGH_LABELS, confusion_shares, expectation
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.prelabels import prelabel
from hiveguard_pipeline.learning.recorded import accepted_model, list_models, ready
from hiveguard_pipeline.learning.served import NotServedError
from hiveguard_pipeline.learning.settings import ActiveSettings, set_active_settings
from hiveguard_pipeline.learning.training import TRAINED_SHARE, held_out_hashes, train_weak_model
from hiveguard_pipeline.rules.hash_split import below, limit_of_share
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.tables import item_uuid
from tests.learning.world import CLASSES, QUICK, again, image_dataset, label, named, rows_of, text_dataset
from tests.store.voting import add_items


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "models")


def test_a_model_learns_from_graduated_texts_and_is_recorded(database: Database, root: str) -> None:
    dataset, labels = text_dataset(database, 200)
    label(database, dataset, named(labels, range(160)))
    made = train_weak_model(database, "topics", root, run_id="run-1")
    assert (made.accepted, made.kind, made.run_id, made.reason) == (True, "weak", "run-1", "the first model")
    assert made.labels_used + made.held_out == 160
    assert made.classes == tuple(sorted(CLASSES))
    assert made.accuracy is not None
    assert made.accuracy > 0.8 * ONE
    assert made.metrics["labels"] == {"graduated": made.labels_used, "in_revalidation": 0}
    assert sum(count for *_, count in made.metrics["confusion"]) == made.held_out
    curve = made.metrics["curve"]
    assert [point["labels"] for point in curve] == sorted(point["labels"] for point in curve)
    assert curve[-1]["labels"] == made.labels_used
    assert curve[-1]["right"] * ONE // made.held_out == made.accuracy
    assert f"trained on {made.labels_used} labels, fewer than 500" in made.metrics["expect"]
    written = Path(root) / made.file
    assert hashlib.sha256(written.read_bytes()).hexdigest() == made.file_sha256
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_pixels_of_digits_are_learnt_and_broken_files_are_counted(
    database: Database, root: str, tmp_path: Path
) -> None:
    images, digits = load_digits(return_X_y=True)
    pictures = (images[:300].reshape(-1, 8, 8) * 15).astype(np.uint8)
    names = [str(digit) for digit in digits[:300]]
    dataset = image_dataset(database, tmp_path / "images", pictures, classes=sorted(set(names)))
    label(database, dataset, named(names, range(280)))
    with pytest.raises(NotServedError, match="image_dir"):
        train_weak_model(database, "digits", root)
    set_active_settings(database, "digits", {"image_dir": str(tmp_path / "images")})
    (tmp_path / "images" / "t0.png").write_bytes(b"no picture")
    (tmp_path / "images" / "t1.png").unlink()
    made = train_weak_model(database, "digits", root)
    assert made.metrics["without_features"] == {"not_an_image": 1, "missing_file": 1}
    assert made.labels_used + made.held_out == 278
    assert made.accuracy is not None
    assert made.accuracy > 0.8 * ONE


def test_a_held_out_item_stays_held_out_as_the_dataset_grows(database: Database, root: str) -> None:
    dataset, labels = text_dataset(database, 120)
    ids = pa.array([item_uuid("topics", f"t{number}") for number in range(120)])
    trained = below(held_out_hashes(dataset, ids), limit_of_share(TRAINED_SHARE))
    counted = []
    for start, stop in ((0, 60), (60, 120)):
        label(database, dataset, named(labels, range(start, stop)))
        made = train_weak_model(database, "topics", root)
        counted.append((made.labels_used, made.held_out))
    assert counted == [(trained[:60].sum(), (~trained[:60]).sum()), (trained.sum(), (~trained).sum())]


def relabelled(database: Database, wrong: dict[str, str]) -> None:
    """Labels as a review would have left them, at once."""
    with database.write() as connection:
        for name, answer in wrong.items():
            connection.execute(
                sa.update(t.labels)
                .where(t.labels.c.item_id == item_uuid("topics", name))
                .values(label=answer)
            )


def test_a_worse_model_does_not_replace_the_last_one_and_a_better_one_does(
    database: Database, root: str
) -> None:
    dataset, labels = text_dataset(database, 200)
    label(database, dataset, named(labels, range(150)))
    good = train_weak_model(database, "topics", root)
    ids = pa.array([item_uuid("topics", f"t{number}") for number in range(150)])
    trained = below(held_out_hashes(dataset, ids), limit_of_share(TRAINED_SHARE))
    names = {f"t{number}": labels[number] for number in np.flatnonzero(trained)}
    turned = {name: CLASSES[(CLASSES.index(answer) + 1) % 3] for name, answer in names.items()}
    relabelled(database, turned)
    bad = train_weak_model(database, "topics", root)
    assert not bad.accepted
    assert bad.reason.startswith("worse: right on ")
    assert f"model {good.model_id} on" in bad.reason
    assert bad.file == ""
    relabelled(database, names)
    label(database, dataset, named(labels, range(150, 170)))
    better = train_weak_model(database, "topics", root)
    assert better.accepted
    with database.read() as connection:
        assert accepted_model(connection, again(database, dataset)) == better
        assert [row.model_id for row in list_models(connection, dataset)] == [
            better.model_id,
            bad.model_id,
            good.model_id,
        ]


def test_the_same_ledger_is_not_learnt_twice_where_only_news_is_wanted(database: Database, root: str) -> None:
    dataset, labels = text_dataset(database, 80)
    label(database, dataset, named(labels, range(60)))
    first = train_weak_model(database, "topics", root, only_if_new=True)
    assert train_weak_model(database, "topics", root, only_if_new=True) == first
    label(database, dataset, named(labels, range(60, 70)))
    assert train_weak_model(database, "topics", root, only_if_new=True).model_id > first.model_id


def test_labels_in_revalidation_serve_where_few_have_graduated_and_that_is_said(
    database: Database, root: str
) -> None:
    dataset, labels = text_dataset(database, 80)
    label(database, dataset, named(labels, range(40)))
    with database.write() as connection:
        half = [item_uuid("topics", f"t{number}") for number in range(20)]
        connection.execute(
            sa.update(t.labels).where(t.labels.c.item_id.in_(half)).values(state="in_revalidation")
        )
    made = train_weak_model(database, "topics", root)
    assert made.metrics["fell_back"]
    assert made.metrics["labels"]["in_revalidation"] > 0
    assert made.labels_used + made.held_out == 40


def test_gold_items_and_flagged_ones_are_not_learnt_from(database: Database, root: str) -> None:
    dataset, labels = text_dataset(database, 60)
    label(database, dataset, named(labels, range(50)))
    with database.write() as connection:
        connection.execute(
            sa.update(t.items).where(t.items.c.external_id.in_(["t0", "t1"])).values(gold_label="sport")
        )
        connection.execute(
            sa.update(t.labels)
            .where(t.labels.c.item_id.in_([item_uuid("topics", "t2"), item_uuid("topics", "t3")]))
            .values(state="needs_review")
        )
    made = train_weak_model(database, "topics", root)
    assert made.labels_used + made.held_out == 46


def test_who_is_not_served_is_told_why(database: Database, root: str) -> None:
    dataset, labels = text_dataset(database, 60)
    label(database, dataset, named(labels, range(5)))
    with pytest.raises(NotServedError, match="at least 10 of 2 classes"):
        train_weak_model(database, "topics", root)
    for task, modality in (("ner", "text"), ("bbox", "image")):
        create_dataset(database, task, Policy(), classes=("a",), modality=modality, task_type=task)
        with pytest.raises(NotServedError, match="--scores"):
            train_weak_model(database, task, root)
    other = create_dataset(database, "sounds", QUICK, classes=("a", "b"), modality="audio")
    add_items(database, other, [f"t{number}" for number in range(40)])
    label(database, other, {f"t{number}": "ab"[number % 2] for number in range(40)})
    with pytest.raises(NotServedError, match="embeddings=FILE"):
        train_weak_model(database, "sounds", root)
    assert rows_of(database, t.models) == []


def test_a_model_of_other_classes_is_stale_and_the_next_one_is_not_judged_by_it(
    database: Database, root: str
) -> None:
    from hiveguard_pipeline.classes import rename_class

    dataset, labels = text_dataset(database, 80)
    label(database, dataset, named(labels, range(60)))
    train_weak_model(database, "topics", root)
    assert prelabel(database, "topics", root).proposals == 20
    rename_class(database, "topics", "sport", "games", actor="a", reason="r")
    done = prelabel(database, "topics", root)
    assert done.proposals == 0
    assert "stale" in (done.why_not or "")
    assert rows_of(database, t.prelabels) == []
    made = train_weak_model(database, "topics", root)
    assert made.accepted
    assert "stale" in made.reason
    assert "games" in made.classes
    assert made.schema_version == 2


def test_a_model_file_that_was_changed_is_not_loaded(database: Database, root: str) -> None:
    dataset, labels = text_dataset(database, 80)
    label(database, dataset, named(labels, range(60)))
    made = train_weak_model(database, "topics", root)
    settings, folder = ActiveSettings(), ModelFolder(root)
    assert ready(folder, made, settings).model.classes == made.classes
    path = Path(root) / made.file
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInputError, match="was changed"):
        ready(folder, made, settings)
    path.unlink()
    with pytest.raises(BadInputError, match="is gone"):
        ready(folder, made, settings)
    label(database, dataset, named(labels, range(60, 65)))
    next_one = train_weak_model(database, "topics", root)
    assert next_one.accepted
    assert "could not be scored" in next_one.reason


def test_models_lie_under_any_fsspec_url(database: Database) -> None:
    import fsspec

    dataset, labels = text_dataset(database, 80)
    label(database, dataset, named(labels, range(60)))
    made = train_weak_model(database, "topics", "memory://models-here")
    assert fsspec.filesystem("memory").exists(f"/models-here/{made.file}")
    assert prelabel(database, "topics", "memory://models-here").proposals == 20


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_of_many_held_out_items_the_count_of_right_ones_decides(pairs: list[tuple[bool, bool]]) -> None:
    pairs = pairs * -(-LEAST_JUDGES // len(pairs))
    new, old = (np.array([pair[side] for pair in pairs], dtype=bool) for side in (0, 1))
    assert compare(new, old, "model 1").accepted == (new.sum() >= old.sum())


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=LEAST_JUDGES - 1))
def test_of_few_held_out_items_a_difference_that_chance_explains_decides_nothing(
    pairs: list[tuple[bool, bool]],
) -> None:
    new, old = (np.array([pair[side] for pair in pairs], dtype=bool) for side in (0, 1))
    lost, gained = int((old & ~new).sum()), int((new & ~old).sum())
    tail = sum(comb(lost + gained, k) for k in range(lost, lost + gained + 1)) / 2 ** (lost + gained)
    assert compare(new, old, "model 1").accepted == (lost <= gained or tail >= SURPRISE)


def test_mcnemars_p_is_that_of_fair_coins() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 5) == pytest.approx(1 / 2**5)
    assert mcnemar(1, 3) == pytest.approx((1 + 4) / 2**4)


def test_what_to_expect_is_said_only_of_few_labels() -> None:
    curve = [{"labels": 50, "right": 6, "of": 10}, {"labels": 100, "right": 8, "of": 10}]
    said = expectation(100, 8, 10, curve)
    low, high = interval_of_share(8, 10)
    assert f"between {low:.0%} and {high:.0%}" in said
    assert "from 50 to 100 labels it gained 20 points" in said
    assert expectation(ENOUGH_LABELS, 8, 10, curve) == ""
    assert "not judged" in expectation(10, 0, 0, [])


def test_the_confusion_picture_shows_shares_of_each_label() -> None:
    counts: list[list[Any]] = [["a", "a", 3], ["a", "b", 1], ["b", "b", 2], ["c", "a", 1]]
    assert confusion_shares(counts, 2) == (["a", "b"], [[0.75, 0.25], [0.0, 1.0]])
