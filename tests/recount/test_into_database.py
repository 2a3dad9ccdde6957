"""A recount written back: what runs would have made, what is new alone, what people decided untouched."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import export_labels, export_votes
from hiveguard_pipeline.recount.into_database import WrittenBack, write_back
from hiveguard_pipeline.recount.job import Request, recount_votes, write_result
from hiveguard_pipeline.recount.output import MANIFEST, Result
from hiveguard_pipeline.review import correct, decide, list_flagged
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, progress_of, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.recount.crowd import fill, more
from tests.retraction.world import looked_for
from tests.store.voting import add_items, cast, labels_of, ledger_of, letters, standing, states, vote_ids

WHO = {"reviewer": "ann", "reason": "looked at it"}


def recount(database: Database, name: str, output: Path, **asked: Any) -> Result:
    recount_votes(
        Request("local", "a-recount", name, output=str(output), **asked), database, lambda *_: None, print
    )
    return Result(str(output))


def written(database: Database, name: str, output: Path) -> WrittenBack:
    return write_back(database, name, recount(database, name, output), run_id="a-recount")


def sound(database: Database, dataset: Dataset) -> bool:
    """verify holds, the queue is what people must decide, and a run over all finds nothing to do."""
    before = standing(database, dataset)
    with database.read() as connection:
        flagged = {item.item_id for item in list_flagged(connection, dataset)}
        assert flagged == looked_for(connection, dataset)
    assert verify(database, dataset.name).findings == []
    done = apply_votes(database, dataset.name, run_id="after", everything=True)
    return (done.votes_applied, standing(database, dataset)) == (0, before)


def test_a_recount_of_a_new_dataset_is_what_runs_would_have_made(
    tmp_path: Path, two_stores: dict[str, str]
) -> None:
    for kind, url in two_stores.items():
        database = open_database(url)
        by_recount, by_runs = (create_dataset(database, name, Policy()) for name in ("recount", "runs"))
        for dataset in (by_recount, by_runs):
            fill(database, dataset)
        done = written(database, "recount", tmp_path / kind)
        apply_votes(database, "runs", run_id="run")
        assert standing(database, by_recount) == standing(database, by_runs)
        assert (done.new_generations, done.left_alone, done.unchanged) == (
            0,
            0,
            unlabeled_with_votes(database, by_runs),
        )
        assert sound(database, by_recount)
        with database.read() as connection:
            runs = connection.execute(sa.text("SELECT DISTINCT run_id FROM batches")).scalars().all()
            progress = progress_of(connection, by_recount)
        assert set(runs) == {"a-recount", "run"}
        assert (progress.ledger_position, progress.policy_id) == (done.ledger_position, 1)


def unlabeled_with_votes(database: Database, dataset: Dataset) -> int:
    """Unlabeled items that have votes: a recount has nothing to say of them."""
    with database.read() as connection:
        return int(
            connection.execute(
                sa.text(
                    "SELECT count(DISTINCT s.item_id) FROM item_status s JOIN votes v"
                    " ON v.item_id = s.item_id WHERE s.dataset_id = :dataset AND s.state = 'unlabeled'"
                ),
                {"dataset": dataset.dataset_id},
            ).scalar_one()
        )


def test_a_recount_after_runs_adds_what_is_new_and_a_second_one_nothing(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    fill(database, dataset)
    apply_votes(database, dataset.name, run_id="run")
    old = ledger_of(database, dataset)
    cast(database, dataset, more(Random(2), [f"i{number}" for number in range(30)], 300), first=900)
    done = written(database, dataset.name, tmp_path / "first")
    assert done.extended > 5
    assert done.new_generations == 0
    new = ledger_of(database, dataset)
    assert all(new[name][: len(rows)] == rows for name, rows in old.items())
    assert sum(map(len, new.values())) == sum(map(len, old.values())) + done.ledger_rows
    assert sound(database, dataset)
    before = whole(database)
    again = written(database, dataset.name, tmp_path / "second")
    assert (again.extended, again.new_generations, again.ledger_rows) == (0, 0, 0)
    assert again.ledger_position == done.ledger_position
    assert whole(database) == before


def whole(database: Database) -> list[Any]:
    with database.read() as connection:
        return [
            connection.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in (t.labels, t.batches, t.recheck_items)
        ]


def test_a_changed_policy_begins_new_generations_and_keeps_the_old_ones(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    fill(database, dataset)
    apply_votes(database, dataset.name, run_id="run")
    before = ledger_of(database, dataset)
    change = {"CONSENSUS_THRESHOLD": "8", "REVALIDATION_DELTA": "0.04"}
    set_policy(database, dataset.name, change, actor="t", reason="t")
    done = written(database, dataset.name, tmp_path / "out")
    assert done.new_generations > 20
    assert 0 < done.withdrawn < done.new_generations
    after = ledger_of(database, dataset)
    assert all(after[name][: len(rows)] == rows for name, rows in before.items())
    assert {row[1] for rows in after.values() for row in rows} == {1, 2}

    fresh = create_dataset(database, "fresh", Policy().replaced(change))
    fill(database, fresh)
    apply_votes(database, "fresh", run_id="run")
    assert states(database, dataset) == states(database, fresh)
    assert sound(database, dataset)
    again = written(database, dataset.name, tmp_path / "again")
    assert (again.extended, again.new_generations, again.ledger_rows) == (0, 0, 0)


def test_a_label_that_the_votes_do_not_carry_any_more_is_withdrawn_and_may_come_again(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    names = add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xxy") + letters("b", "xxxxxx"))
    apply_votes(database, dataset.name, run_id="run")
    set_policy(database, dataset.name, {"CONSENSUS_THRESHOLD": "5"}, actor="t", reason="t")
    done = written(database, dataset.name, tmp_path / "out")
    assert (done.new_generations, done.withdrawn) == (2, 1)
    assert states(database, dataset) == {"a": "unlabeled", "b": "in_revalidation"}
    with database.read() as connection:
        row = connection.execute(sa.select(t.labels).where(t.labels.c.item_id == names["a"])).one()
    assert (row.label, row.confidence, row.vote_count, row.applied_through) == (None, None, 0, 0)
    assert (row.generation, row.created_at, row.needs_review) == (2, None, False)
    assert sound(database, dataset)
    stream = (tmp_path / "labels.csv").open("wb")
    with stream:
        assert export_labels(database, stream, "csv") == 1

    cast(database, dataset, letters("a", "xx"), first=9)
    apply_votes(database, dataset.name, run_id="run")
    assert [row[1] for row in ledger_of(database, dataset)["a"]] == [1, 2]
    assert labels_of(database, dataset)["a"][:3] == ("x", 800_000, "in_revalidation")
    assert sound(database, dataset)


def test_only_a_withdrawn_label_may_lack_a_ledger(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxx"))
    apply_votes(database, dataset.name, run_id="run")
    set_policy(database, dataset.name, {"CONSENSUS_THRESHOLD": "5"}, actor="t", reason="t")
    written(database, dataset.name, tmp_path / "out")
    assert verify(database, dataset.name).findings == []
    for tampered in (
        "label = 'x'",
        "generation = 3, state = 'graduated'",
        "vote_count = 3",
        "generation = 1",
    ):
        with database.write() as connection:
            connection.execute(sa.text(f"UPDATE labels SET {tampered}"))
        assert verify(database, dataset.name).findings, tampered
        with database.write() as connection:
            connection.execute(
                sa.text("UPDATE labels SET label = NULL, generation = 2, state = 'unlabeled', vote_count = 0")
            )
    assert verify(database, dataset.name).findings == []


def test_what_people_decided_stands_and_gold_items_are_left_out(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["flagged", "moving", "fine"])
    add_items(database, dataset, ["gold"], gold="x")
    votes = {"flagged": "xxyyyy", "moving": "xxx", "fine": "xxx", "gold": "xxx"}
    cast(database, dataset, [vote for name, given in votes.items() for vote in letters(name, given)])
    apply_votes(database, dataset.name, run_id="run")
    decide(database, "flagged", "relabel", label="y", dataset_name=dataset.name, **WHO)
    correct(database, "moving", "y", dataset_name=dataset.name, **WHO)
    cast(database, dataset, letters("moving", "yy"), first=20)
    before = standing(database, dataset)
    set_policy(database, dataset.name, {"REVALIDATION_MIN_VOTES": "2"}, actor="t", reason="t")
    done = written(database, dataset.name, tmp_path / "out")
    assert (done.left_alone, done.new_generations, done.extended, done.unchanged) == (2, 0, 0, 1)
    assert standing(database, dataset) == before
    # The two waiting votes make a batch under the new policy: the next run looks, though it has no new vote.
    found = look(database, Position())
    assert dataset.name in found.position.due
    assert apply_votes(database, dataset.name, run_id="next").batches == 1
    assert sound(database, dataset)


def test_an_item_that_became_gold_after_the_recount_is_left_out(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xxx") + letters("b", "xxx"))
    result = recount(database, dataset.name, tmp_path / "out")
    with database.write() as connection:
        connection.execute(sa.text("UPDATE items SET gold_label = 'x' WHERE external_id = 'a'"))
    write_back(database, dataset.name, result, run_id="r")
    assert set(labels_of(database, dataset)) == {"b"}
    assert verify(database, dataset.name).findings == []


def test_votes_that_come_during_a_recount_are_looked_at_by_the_next_run(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xxx") + letters("b", "xy"))
    apply_votes(database, dataset.name, run_id="run")
    set_policy(database, dataset.name, {"CONSENSUS_THRESHOLD": "2"}, actor="t", reason="t")
    result = recount(database, dataset.name, tmp_path / "out")
    cast(database, dataset, letters("a", "xx") + letters("b", "x"), first=9)
    assert apply_votes(database, dataset.name, run_id="between").votes_applied == 3
    with pytest.raises(BadInputError, match=r"ledger of animals has moved.*run it again"):
        write_back(database, dataset.name, result, run_id="r")

    result = recount(database, dataset.name, tmp_path / "again")
    cast(database, dataset, letters("a", "xx"), first=12)
    assert apply_votes(database, dataset.name, run_id="reads").votes_applied == 3
    with pytest.raises(BadInputError, match="has moved"):
        write_back(database, dataset.name, result, run_id="r")

    result = recount(database, dataset.name, tmp_path / "third")
    cast(database, dataset, letters("b", "yx"), first=14)
    # A run that reads votes and applies none moves nothing: what it has read is looked at once more.
    assert apply_votes(database, dataset.name, run_id="reads").votes_applied == 0
    write_back(database, dataset.name, result, run_id="r")
    with database.read() as connection:
        waiting = connection.execute(sa.select(t.recheck_items.c.item_id)).scalars().all()
    assert len(waiting) == 1
    assert verify(database, dataset.name).findings == []
    cast(database, dataset, letters("b", "x"), first=16)
    assert apply_votes(database, dataset.name, run_id="next").batches == 1
    assert sound(database, dataset)


def test_nothing_is_written_when_the_policy_changed(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    fill(database, dataset)
    result = recount(database, dataset.name, tmp_path / "out")
    set_policy(database, dataset.name, {"REVALIDATION_MIN_VOTES": "2"}, actor="t", reason="t")
    before = whole(database)
    with pytest.raises(BadInputError, match=r"another policy.*run it again"):
        write_back(database, dataset.name, result, run_id="r")
    assert whole(database) == before


def test_a_result_made_elsewhere_from_an_export_can_be_written_back(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    fill(database, dataset)
    with (tmp_path / "votes.parquet").open("wb") as stream:
        export_votes(database, stream, "parquet", dataset.name)
    elsewhere = Request("local", "e", votes=str(tmp_path / "votes.parquet"), output=str(tmp_path / "out"))
    recount_votes(elsewhere, None, lambda *_: None, print)
    manifest = Result(str(tmp_path / "out")).manifest
    assert (manifest.dataset, manifest.policy_id, manifest.ledger_position) == (None, None, None)
    done = write_result(database, dataset.name, str(tmp_path / "out"), "e")
    assert done.extended > 40
    assert sound(database, dataset)
    assert write_result(database, dataset.name, str(tmp_path / "out"), "e").ledger_rows == 0

    other = create_dataset(database, "other", Policy())
    fill(database, other, votes=400)
    for name, reason in (("other", "recount of other votes"),):
        with pytest.raises(BadInputError, match=reason):
            write_result(database, name, str(tmp_path / "out"), "e")
    add_items(database, dataset, ["late"])
    cast(database, dataset, letters("late", "xxx"), first=2_000)
    assert apply_votes(database, dataset.name, run_id="run").votes_applied > 0
    with pytest.raises(BadInputError, match=r"has applied votes after vote .*run it again"):
        write_result(database, dataset.name, str(tmp_path / "out"), "e")


def test_a_result_of_another_dataset_or_of_fewer_votes_is_refused(
    tmp_path: Path, database: Database, dataset: Dataset
) -> None:
    fill(database, dataset)
    create_dataset(database, "other", Policy())
    result = recount(database, dataset.name, tmp_path / "out")
    with pytest.raises(BadInputError, match="is a recount of animals, not of other"):
        write_back(database, "other", result, run_id="r")
    cast(database, dataset, letters("i0", "x"), first=5_000)
    stated = json.loads((tmp_path / "out" / MANIFEST).read_text())
    stated["horizon"] = vote_ids(database, dataset)[-1]
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(stated))
    before = whole(database)
    with pytest.raises(BadInputError, match=r"counts \d+ votes on item .*a recount of other votes"):
        write_back(database, dataset.name, Result(str(tmp_path / "out")), run_id="r")
    assert whole(database) == before


def test_a_writer_that_may_still_bring_an_older_vote_is_waited_for(tmp_path: Path, tcp_postgres: str) -> None:
    database = open_database(tcp_postgres)
    dataset = create_dataset(database, "animals", Policy())
    names = add_items(database, dataset, "a")
    with database.engine.connect() as writer:
        late = writer.execute(
            sa.text(
                "INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, 'late', 'x') RETURNING vote_id"
            ),
            {"item": names["a"]},
        ).scalar_one()
        cast(database, dataset, letters("a", "xxx"))
        with (tmp_path / "votes.parquet").open("wb") as stream:
            assert export_votes(database, stream, "parquet", dataset.name, wait_seconds=0.1) == 0
        result = recount(database, dataset.name, tmp_path / "out", wait_seconds=0.1)
        assert result.manifest.horizon < late
        stated = json.loads((tmp_path / "out" / MANIFEST).read_text()) | {"horizon": late + 3}
        (tmp_path / "out" / MANIFEST).write_text(json.dumps(stated))
        with pytest.raises(BadInputError, match="votes of other writers may still come"):
            write_back(database, "animals", Result(str(tmp_path / "out")), run_id="r", wait_seconds=0.1)
        writer.commit()
    assert written(database, "animals", tmp_path / "after").extended == 1
    assert sound(database, dataset)
