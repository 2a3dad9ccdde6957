"""Exclusions at once with one another and with runs: on one dataset they take turns."""

import threading
from collections.abc import Callable
from random import Random

import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction import exclude, restore
from hiveguard_pipeline.store.exclusions import list_exclusions
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.status import vote_counts
from tests.retraction.test_votes import vote_ids
from tests.retraction.world import WHO, contents, new_dataset, put
from tests.store.voting import add_items, labels_of

SOLVERS = [f"s{number}" for number in range(12)]


def test_exclusions_runs_and_votes_at_once_end_as_in_sequence(new_postgres: Callable[..., str]) -> None:
    database = open_database(new_postgres())
    dataset, calm = new_dataset(database), new_dataset(database)
    random = Random(3)
    names = [f"i{number}" for number in range(60)]
    votes = [(name, solver, random.choice("xxxyz")) for name in names for solver in SOLVERS]
    random.shuffle(votes)
    for one in (dataset, calm):
        add_items(database, one, names)
        put(database, one, votes[:400])
        apply_votes(database, one.name, run_id="before")
    failed: list[BaseException] = []
    refused: list[str] = []
    start = threading.Barrier(6)

    def at_once(*acts: Callable[[], object]) -> None:
        try:
            start.wait(timeout=30)
            for act in acts:
                act()
        except BadInputError as error:
            refused.append(str(error))
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    name = dataset.name
    threads = [
        threading.Thread(target=at_once, args=acts)
        for acts in (
            (lambda: exclude(database, name, ["s0", "s1"], **WHO),),
            (lambda: exclude(database, name, ["s1", "s2"], **WHO),),
            (
                lambda: exclude(database, name, ["s3"], **WHO),
                lambda: restore(database, name, ["s3"], **WHO),
            ),
            (lambda: apply_votes(database, name, run_id="one"),) * 3,
            (lambda: apply_votes(database, name, run_id="two", everything=True),) * 3,
            tuple(lambda part=part: put(database, dataset, part) for part in (votes[400:560], votes[560:])),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    assert failed == []
    assert len(refused) == 1
    assert "s1" in refused[0]
    apply_votes(database, name, run_id="last")
    assert verify(database, name).findings == []
    with database.read() as connection:
        excluded = [row.solver_id for row in list_exclusions(connection, dataset)]
        counts = vote_counts(connection, dataset)
    assert excluded in (["s0", "s1"], ["s1", "s2"])
    assert counts["received"] == counts["applied"] + counts["unprocessed"] + counts["excluded"] == len(votes)

    put(database, calm, votes[400:])
    exclude(database, calm.name, excluded, **WHO)
    apply_votes(database, calm.name, run_id="calm")
    ours, theirs = (
        # Generations and times may differ, and a withdrawn label leaves a row.
        {item: (*row[:7], row[9]) for item, row in labels_of(database, one).items() if row[0] is not None}
        for one in (dataset, calm)
    )
    assert ours == theirs


def test_a_vote_that_is_not_committed_yet_counts_later(new_postgres: Callable[..., str]) -> None:
    database = open_database(new_postgres())
    dataset = new_dataset(database)
    add_items(database, dataset, "a")
    put(database, dataset, [("a", f"s{number}", "x") for number in range(3)])
    apply_votes(database, dataset.name, run_id="run")
    from hiveguard_pipeline.store import tables as t
    from hiveguard_pipeline.store.tables import item_uuid

    with database.engine.connect() as writer:
        row = {"item_id": item_uuid(dataset.name, "a"), "solver_id": "late", "answer": "x"}
        writer.execute(t.votes.insert(), [row])
        put(database, dataset, [("a", "s3", "x")])
        exclude(database, dataset.name, ["s0"], wait_seconds=0.1, **WHO)
        assert verify(database, dataset.name).findings == []
        assert labels_of(database, dataset)["a"][0] is None
        writer.commit()
    apply_votes(database, dataset.name, run_id="after")
    assert verify(database, dataset.name).findings == []
    assert labels_of(database, dataset)["a"][:2] == ("x", 1_000_000)


@pytest.mark.parametrize("act", ["exclude", "restore", "withdraw"])
def test_an_error_half_way_leaves_nothing(
    database: object, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiveguard_pipeline import retraction
    from hiveguard_pipeline.retraction import recounted
    from hiveguard_pipeline.store.database import Database

    assert isinstance(database, Database)
    dataset = new_dataset(database)
    add_items(database, dataset, "a")
    put(database, dataset, [("a", f"s{number}", "x") for number in range(6)])
    apply_votes(database, dataset.name, run_id="run")
    if act == "restore":
        exclude(database, dataset.name, ["s1"], **WHO)
    before = contents(database)

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recounted, "export_changes", broken)
    chosen = vote_ids(database, dataset)[1:2] if act == "withdraw" else ["s1"]
    with pytest.raises(KeyboardInterrupt):
        getattr(retraction, act)(database, dataset.name, chosen, **WHO)
    assert contents(database) == before
