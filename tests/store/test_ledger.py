"""A run: what it applies, once, in any number of steps, on either database."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

import psycopg2.extensions
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.ledger import Applied, apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.status import vote_counts
from hiveguard_pipeline.store.tables import item_uuid
from tests.dagster_location.fresh import imported_by

from .voting import Casts, add_items, cast, labels_of, ledger_of, letters, standing, states, unprocessed

ITEMS = "abcdef"

POLICIES = st.sampled_from(
    [
        Policy(),
        Policy(consensus_threshold=1, revalidation_min_votes=1),
        Policy(consensus_threshold=2, revalidation_min_total_votes=6, revalidation_min_votes=2),
        Policy(revalidation_delta=123_457, revalidation_min_total_votes=9, revalidation_min_votes=4),
    ]
)
VOTES = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.sampled_from(["cat", "cat", "cat", "dog", "=owl, \"'\n"])),
    max_size=120,
)


@pytest.fixture
def both(tmp_path: Path, new_postgres: Callable[..., str]) -> list[Database]:
    """One store on each database."""
    return [open_database(f"sqlite:///{tmp_path / 'hiveguard.db'}"), open_database(new_postgres())]


def run(database: Database, dataset: Dataset, everything: bool = False) -> Applied:
    return apply_votes(database, dataset.name, run_id="run", everything=everything)


def in_parts(database: Database, policy: Policy, votes: Casts, cuts: set[int]) -> tuple[object, object]:
    """Where the items stand after these votes, with a run at each cut and one at the end."""
    dataset = create_dataset(database, f"d{uuid.uuid4().hex}", policy)
    add_items(database, dataset, ITEMS)
    votes, start = list(votes), 0
    for end in sorted({*cuts, len(votes)}):
        cast(database, dataset, votes[start:end], first=start)
        run(database, dataset)
        start = max(start, end)
    return standing(database, dataset)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(policy=POLICIES, votes=VOTES, cuts=st.sets(st.integers(0, 120), max_size=6))
def test_in_any_parts_and_on_either_database_a_stream_gives_the_same_labels_and_ledger(
    both: list[Database], policy: Policy, votes: list[tuple[str, str]], cuts: set[int]
) -> None:
    cuts = {cut for cut in cuts if cut < len(votes)}
    sqlite, postgres = both
    at_once = in_parts(sqlite, policy, votes, set())
    assert in_parts(sqlite, policy, votes, cuts) == at_once
    assert in_parts(postgres, policy, votes, set()) == at_once
    assert in_parts(postgres, policy, votes, cuts) == at_once


def test_one_vote_a_run_gives_what_one_run_gives(database: Database) -> None:
    random = Random(11)
    votes = [(random.choice(ITEMS), random.choice("xxxxy")) for _ in range(40)]
    every = set(range(len(votes)))
    assert in_parts(database, Policy(), votes, every) == in_parts(database, Policy(), votes, set())


def test_first_pass_and_batches_stand_in_the_ledger_as_the_rules_say(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xyx" + "xxx" + "xyy" + "x"))
    done = run(database, dataset)
    assert (done.first_passes, done.batches, done.votes_read, done.votes_applied) == (1, 2, 10, 9)
    assert done.states["in_revalidation"] == 1
    assert ledger_of(database, dataset)["a"] == [
        (1, 1, "first_pass", 1, 3, 2, 1, "x", None, 666_667, "in_revalidation"),
        (1, 1, "revalidation", 4, 6, 3, 0, "x", 666_667, 816_667, "in_revalidation"),
        (1, 1, "revalidation", 7, 9, 1, 2, "x", 816_667, 766_667, "in_revalidation"),
    ]
    created = "2026-11-01T00:00:02.000000Z"
    assert labels_of(database, dataset)["a"] == (
        *("x", 766_667, "in_revalidation", False, 3, 6, 0, 1, 1, 9),
        created,
    )
    assert unprocessed(database, dataset) == {"a": 1}


def test_three_votes_under_a_threshold_of_five_do_nothing(database: Database) -> None:
    dataset = create_dataset(database, "slow", Policy(consensus_threshold=5))
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxx"))
    done = run(database, dataset)
    assert (done.first_passes, done.batches, done.votes_applied) == (0, 0, 0)
    assert standing(database, dataset) == ({}, {})
    assert unprocessed(database, dataset) == {"a": 3}


def test_gold_items_get_no_label_and_keep_their_votes(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "a", gold="x")
    cast(database, dataset, letters("a", "xxxxxx"))
    run(database, dataset, everything=True)
    assert standing(database, dataset) == ({}, {})
    assert states(database, dataset) == {"a": "gold"}
    assert unprocessed(database, dataset) == {"a": 6}


def test_later_votes_on_graduated_and_flagged_items_stay_unprocessed(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "gf")
    cast(database, dataset, [*letters("g", "x" * 15), *letters("f", "xxy" + "yyy")])
    run(database, dataset)
    assert states(database, dataset) == {"g": "graduated", "f": "needs_review"}
    before = standing(database, dataset)
    cast(database, dataset, [*letters("g", "y" * 9), *letters("f", "x" * 7)])
    for everything in (False, True):
        assert run(database, dataset, everything).votes_applied == 0
        assert standing(database, dataset) == before
    assert unprocessed(database, dataset) == {"g": 9, "f": 7}


def test_a_new_policy_holds_for_unprocessed_votes_only_and_each_batch_names_its_own(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "ab")
    cast(database, dataset, [*letters("a", "xxx" + "xx"), *letters("b", "xyx")])
    run(database, dataset)
    before = standing(database, dataset)
    change = {"REVALIDATION_MIN_VOTES": "2", "REVALIDATION_CONFIDENCE_THRESHOLD": "0.7"}
    set_policy(database, dataset.name, change, actor="t", reason="t")
    assert standing(database, dataset) == before
    run(database, dataset)
    labels, ledger = labels_of(database, dataset), ledger_of(database, dataset)
    assert [row[:3] for row in ledger["a"]] == [(1, 1, "first_pass"), (2, 1, "revalidation")]
    assert labels["a"][5] == 2
    assert labels["a"][7] == 2
    assert labels["b"][2] == "in_revalidation", "what stands is not judged again"
    assert labels["b"][7] == 1


def test_looking_at_everything_changes_nothing_when_nothing_is_due(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ITEMS)
    random = Random(3)
    cast(database, dataset, [(random.choice(ITEMS), random.choice("xxy")) for _ in range(60)])
    position = run(database, dataset).ledger_position
    before = standing(database, dataset)
    done = run(database, dataset, everything=True)
    assert (done.first_passes, done.batches, done.ledger_position) == (0, 0, position)
    assert standing(database, dataset) == before


def test_a_vote_is_processed_exactly_if_a_batch_took_it(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ITEMS)
    random = Random(5)
    cast(database, dataset, [(random.choice(ITEMS), random.choice("xxy")) for _ in range(100)])
    run(database, dataset)
    with database.read() as connection:
        votes = connection.execute(sa.text("SELECT processed, batch_id FROM vote_status")).all()
        sizes = connection.execute(sa.text("SELECT batch_id, agree + disagree FROM batches")).all()
        counts = vote_counts(connection, dataset)
    assert len(votes) == 100
    assert all(bool(vote.processed) == (vote.batch_id is not None) for vote in votes)
    taken = [vote.batch_id for vote in votes if vote.processed]
    assert {key: taken.count(key) for key in set(taken)} == dict(map(tuple, sizes))
    assert counts["received"] == counts["applied"] + counts["unprocessed"] == 100


def test_a_time_that_the_challenge_server_left_out_is_the_databases(
    database: Database, dataset: Dataset
) -> None:
    (item_id,) = add_items(database, dataset, "a").values()
    with database.write() as connection:
        for solver in "123":
            connection.execute(
                sa.text("INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, :solver, 'x')"),
                {"item": item_id, "solver": solver},
            )
    run(database, dataset)
    created = str(labels_of(database, dataset)["a"][-1])
    assert created.startswith("20")
    assert len(created) == len("2026-11-20T12:00:00.000000Z")
    assert created.endswith("Z")


def test_a_dataset_is_not_touched_by_anothers_run(database: Database, dataset: Dataset) -> None:
    other = create_dataset(database, "other", Policy())
    for each in (dataset, other):
        add_items(database, each, "a")
        cast(database, each, letters("a", "xxx"))
    run(database, dataset)
    assert standing(database, other) == ({}, {})
    run(database, other)
    assert labels_of(database, other) == labels_of(database, dataset)


def test_the_number_of_statements_of_a_run_does_not_grow_with_votes_or_items(database: Database) -> None:
    def statements(votes: int) -> int:
        dataset = create_dataset(database, f"of-{votes}", Policy())
        names = [f"i{number}" for number in range(votes // 10)]
        add_items(database, dataset, names)
        random = Random(votes)
        cast(database, dataset, [(random.choice(names), random.choice("xxxxy")) for _ in range(votes)])
        with counted(database) as seen:
            assert run(database, dataset).first_passes > votes / 20
        return len(seen)

    assert 10 < statements(300) == statements(3_000)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that reach the database, through SQLAlchemy or past it."""
    seen: list[str] = []

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, parameters: Any = None) -> None:
            seen.append(str(query))
            super().execute(query, parameters)

        def copy_expert(self, query: Any, *rest: Any) -> None:
            seen.append(str(query))
            super().copy_expert(query, *rest)

    def watch(connection: Any, _record: Any) -> None:
        if database.is_sqlite:
            connection.set_trace_callback(seen.append)
        else:
            connection.cursor_factory = Cursor

    sa.event.listen(database.engine, "connect", watch)
    yield seen
    sa.event.remove(database.engine, "connect", watch)


def test_what_a_run_writes_names_the_run_and_the_policy(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxx"))
    apply_votes(database, dataset.name, run_id="the-run")
    with database.read() as connection:
        row = connection.execute(
            sa.text(
                "SELECT b.run_id, b.item_id, p.* FROM batches b JOIN policies p ON p.policy_id = b.policy_id"
            )
        ).one()
    assert (row.run_id, str(row.item_id)) == ("the-run", item_uuid(dataset.name, "a"))
    assert Policy(**{field.name: getattr(row, field.name) for field in fields(Policy)}) == Policy()


def test_an_answer_of_megabytes_stops_no_run(database: Database, dataset: Dataset) -> None:
    """The challenge server's answers have no limit."""
    add_items(database, dataset, "abc")
    long = "x" * 2_000_000
    cast(database, dataset, [(name, answer) for name in "abc" for answer in ("y", long, long)])
    assert run(database, dataset).first_passes == 3
    assert {row[0] for row in labels_of(database, dataset).values()} == {long}


def test_a_batch_loads_no_pandas(
    database_url: str, dataset: Dataset, database: Database, tmp_path: Path
) -> None:
    """Its import takes longer than a batch; pyarrow brings it in where numbers and texts are converted."""
    add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xxxxxx") + letters("b", "xyx"))
    code = (
        "from hiveguard_pipeline.store.ledger import apply_votes\n"
        "from hiveguard_pipeline.store.schema import open_database\n"
        f"done = apply_votes(open_database({database_url!r}), {dataset.name!r}, run_id='run')\n"
        "assert (done.first_passes, done.batches) == (2, 1), done"
    )
    assert imported_by(code, ["pandas", "pyarrow.compute"], cwd=tmp_path) == {"pyarrow.compute"}
