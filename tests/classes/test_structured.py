"""Classes inside boxes and spans change as classes of items do."""

import json
from pathlib import Path
from random import Random

import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.classes import add_classes, list_classes, merge_classes, rename_class
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake import import_items, import_votes
from hiveguard_pipeline.retraction import exclude, restore
from hiveguard_pipeline.review import correct, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.structured.answer import canonical
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import find_item
from tests.retraction.world import put
from tests.store.voting import add_items, cast

WHO = {"actor": "lead", "reason": "a test"}
REVIEWER = {"reviewer": "ann", "reason": "looked at it"}
SMALL = Policy(revalidation_min_total_votes=6, revalidation_min_votes=2)


def boxes(*labels: str, shift: float = 0.0) -> str:
    """One box of 10 x 10 for each label, side by side."""
    found = [{"label": name, "bbox": [20.0 * n + shift, 0.0, 10.0, 10.0]} for n, name in enumerate(labels)]
    return canonical(json.dumps({"boxes": found}))


@pytest.fixture
def streets(database: Database) -> Dataset:
    """`one` has a car and a bus by three people; `split` a thing that each calls another name."""
    dataset = create_dataset(database, "streets", Policy(), classes=("car", "bus", "lorry"), task_type="bbox")
    add_items(database, dataset, ["one", "split"])
    cast(database, dataset, [("one", boxes("car", "bus", shift=number)) for number in range(3)])
    cast(database, dataset, [("split", boxes(name)) for name in ("car", "bus")])
    apply_votes(database, dataset.name, run_id="r")
    return dataset


def label(database: Database, name: str) -> list[str] | None:
    with database.read() as connection:
        found = find_item(connection, name, "streets").label
    return None if found is None else [box["label"] for box in json.loads(found)["boxes"]]


def test_labels_and_answers_have_the_new_names_inside_and_the_ledger_replays(
    database: Database, streets: Dataset
) -> None:
    assert sorted(label(database, "one") or []) == ["bus", "car"]
    done = merge_classes(database, "streets", ["car", "bus"], "vehicle", **WHO)
    assert (done.labels, done.classes) == (1, ("vehicle", "lorry"))
    assert label(database, "one") == ["vehicle", "vehicle"]
    assert verify(database, "streets").findings == []
    cast(database, streets, [("one", boxes("car", "bus")), ("one", boxes("vehicle", "vehicle"))])
    cast(database, streets, [("one", boxes("lorry", "lorry")), ("split", boxes("vehicle"))])
    done = apply_votes(database, "streets", run_id="r2")
    assert (done.first_passes, done.batches) == (1, 1)
    assert label(database, "split") == ["vehicle"]
    with database.read() as connection:
        item = find_item(connection, "one", "streets")
        (first, second) = list_classes(connection, get_dataset(connection, "streets"))
    # Two of the three agree: one more 0.05 up than down.
    assert item.revalidation_vote_count == 3
    assert (first.labels, first.former_names, second.former_names) == (None, ("bus", "car"), ())
    assert verify(database, "streets").findings == []


def test_decisions_and_undos_are_under_the_classes_of_now(database: Database, streets: Dataset) -> None:
    correct(database, "one", boxes("lorry"), dataset_name="streets", **REVIEWER)
    rename_class(database, "streets", "car", "auto", **WHO)
    undo(database, "one", dataset_name="streets", **REVIEWER)
    assert sorted(label(database, "one") or []) == ["auto", "bus"]
    with pytest.raises(BadInputError, match="'car'"):
        correct(database, "one", boxes("car"), dataset_name="streets", **REVIEWER)
    correct(database, "one", boxes("auto"), dataset_name="streets", **REVIEWER)
    assert verify(database, "streets").findings == []


def test_imports_take_former_names_inside_answers(
    database: Database, streets: Dataset, tmp_path: Path
) -> None:
    rename_class(database, "streets", "car", "auto", **WHO)
    file = tmp_path / "votes.jsonl"
    rows = [
        {"external_id": "split", "solver_id": f"s{number}", "answer": json.loads(boxes(name))}
        for number, name in enumerate(["car", "auto", "tram"])
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = import_votes(database, "streets", file)
    assert (done.accepted, done.reasons) == (2, {"answer_not_in_classes": 1})
    add_classes(database, "streets", ["tram"], **WHO)
    assert import_votes(database, "streets", file).accepted == 1
    gold = tmp_path / "items.jsonl"
    row = {"external_id": "true", "data_ref": "https://example.org/t.png", "modality": "image"}
    gold.write_text(json.dumps(row | {"gold_label": boxes("car")}) + "\n")
    assert import_items(database, "streets", gold).created == 1
    with database.read() as connection:
        assert find_item(connection, "true", "streets").gold_label == boxes("auto")
    apply_votes(database, "streets", run_id="r2")
    assert verify(database, "streets").findings == []


def _session(database: Database, seed: int) -> set[str]:
    """A random life of a dataset of boxes in which classes change and solvers come and go."""
    random, done = Random(seed), set()
    dataset = create_dataset(database, f"s{seed}", SMALL, classes=("c0", "c1", "c2"), task_type="bbox")
    names = [f"i{number}" for number in range(4)]
    add_items(database, dataset, names)
    free = [(name, f"p{solver}") for name in names for solver in range(14)]
    random.shuffle(free)
    ever, live = ["c0", "c1", "c2"], ["c0", "c1", "c2"]

    def drawn() -> str:
        count = random.choice([1, 1, 2])
        return boxes(
            *random.choices(ever[:3] if random.random() < 0.7 else ever, k=count), shift=random.random()
        )

    for _ in range(30):
        act = random.choice(["votes", "votes", "run", "run", "decide", "undo", "classes", "solvers"])
        where = {"dataset_name": dataset.name, **REVIEWER}
        try:
            if act == "votes":
                put(database, dataset, [(*free.pop(), drawn()) for _ in range(min(len(free), 6))])
            elif act == "run":
                apply_votes(database, dataset.name, run_id="r")
            elif act == "decide":
                correct(database, random.choice(names), drawn(), **where)
            elif act == "undo":
                undo(database, random.choice(names), **where)
            elif act == "solvers":
                random.choice([exclude, restore])(database, dataset.name, [f"p{random.randrange(14)}"], **WHO)
            elif len(live) > 2 and random.random() < 0.5:
                gone, into = random.sample(live, 2)
                merge_classes(database, dataset.name, [gone], into, **WHO)
                live.remove(gone)
            else:
                gone, new = random.choice(live), f"c{len(ever)}"
                rename_class(database, dataset.name, gone, new, **WHO)
                ever.append(new)
                live[live.index(gone)] = new
        except BadInputError:
            continue
        done.add(act)
        assert verify(database, dataset.name).findings == [], act
    return done


@pytest.mark.parametrize("seeds", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_the_ledger_replays_after_any_mix(database: Database, seeds: int) -> None:
    done = set.union(*(_session(database, seed) for seed in range(seeds)))
    assert {"votes", "run", "decide", "classes", "solvers"} <= done
