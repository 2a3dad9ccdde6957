"""Which datasets are due is decided for all of them at once, and comes out as for each one alone."""

import random
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.classes import rename_class
from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.review import decide
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import due
from hiveguard_pipeline.store.backlog import Look, Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.due import due_among
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.overview import overview
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.work import would_write

from .voting import add_items, cast, letters

WHO = {"actor": "lead", "reason": "test"}


@pytest.fixture
def statements(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Position], tuple[int, Look]]]:
    """Looks, and counts the statements that it took."""
    sent = []

    def note(*_: object) -> None:
        sent.append(1)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    read = due.read_columns

    def read_columns(*arguments: object) -> object:
        note()
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(due, "read_columns", read_columns)

    def count(position: Position) -> tuple[int, Look]:
        sent.clear()
        found = look(database, position)
        return len(sent), found

    yield count
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("answers", ["x", "xyxy", "xxx"], ids=["too few", "no majority", "due"])
def test_votes_in_many_datasets_cost_a_look_no_more_statements_than_in_one(
    answers: str, database: Database, statements: Callable[[Position], tuple[int, Look]]
) -> None:
    position, counts = Position(), []
    for number in (1, 7):
        datasets = [create_dataset(database, f"of-{number}-{n}", Policy()) for n in range(number)]
        for dataset in datasets:
            add_items(database, dataset, "ab")
            cast(database, dataset, [*letters("a", answers), *letters("b", "x")])
        count, found = statements(position)
        counts.append(count)
        position = found.position
        assert set(found.newest) == {dataset.name for dataset in datasets}
        assert set(position.due) >= {dataset.name for dataset in datasets if answers == "xxx"}
    assert counts[0] == counts[1]


@pytest.mark.parametrize("seed", range(3))
def test_datasets_asked_together_are_due_as_each_one_alone(seed: int, database: Database) -> None:
    chance = random.Random(seed)
    policies = {
        "usual": Policy(),
        "strict": Policy(consensus_threshold=5),
        "even": Policy(consensus_threshold=4, revalidation_min_votes=2),
        "excluding": Policy(),
        "renamed": Policy(),
        "reviewed": Policy(),
        "adaptive": Policy(graduation="adaptive"),
    }
    datasets = {
        name: create_dataset(database, name, policy, classes=("x", "y", "z"))
        for name, policy in policies.items()
    }
    names = [f"i{number}" for number in range(6)]
    for dataset in datasets.values():
        add_items(database, dataset, names)
        add_items(database, dataset, ["gold"], gold="x")

    def some_votes(dataset: Dataset, count: int) -> None:
        items = chance.choices([*names, "gold"], k=count)
        cast(database, dataset, [(item, chance.choice("xxxyz")) for item in items])

    for name, dataset in datasets.items():
        some_votes(dataset, chance.randrange(30))
        if name != "adaptive":
            apply_votes(database, name, run_id="before")
    _trouble(database)
    start = _newest(database)
    seen = set()
    for _ in range(6):
        for dataset in datasets.values():
            some_votes(dataset, chance.randrange(5))
        end = _newest(database)
        with database.look() as connection:
            asked = overview(connection)
            together = due_among(connection, asked, start, end)
            alone = {
                one.dataset.name
                for one in asked
                if would_write(connection, one.dataset, max(start, one.progress.folded_through), end)
            }
        assert together == alone
        seen |= {bool(one.dataset.name in alone) for one in asked}
        start = end
    assert seen == {True, False}


def _trouble(database: Database) -> None:
    """A solver excluded, a class renamed, a flagged item decided on: what makes a dataset unlike others."""
    with database.read() as connection:
        solver = connection.execute(
            sa.text(
                "SELECT min(v.solver_id) FROM votes v JOIN items i ON i.item_id = v.item_id"
                " JOIN datasets d ON d.dataset_id = i.dataset_id WHERE d.name = 'excluding'"
            )
        ).scalar()
        flagged = connection.execute(
            sa.text(
                "SELECT i.external_id FROM labels l JOIN items i ON i.item_id = l.item_id JOIN datasets d"
                " ON d.dataset_id = i.dataset_id WHERE d.name = 'reviewed' AND l.needs_review"
            )
        ).scalars()
        decided = list(flagged)
    if solver:
        exclude(database, "excluding", [solver], **WHO)
    rename_class(database, "renamed", "x", "w", **WHO)
    for item in decided:
        decide(database, item, "confirm", dataset_name="reviewed", reviewer="ann", reason="looked at it")


def _newest(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT coalesce(max(vote_id), 0) FROM votes")).scalar_one())


def test_votes_that_a_run_took_meanwhile_are_not_looked_at_again(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xx"))
    apply_votes(database, dataset.name, run_id="run")
    cast(database, dataset, letters("a", "x"))
    with database.look() as connection:
        (one,) = overview(connection)
        assert due_among(connection, [one], 0, 3) == {dataset.name}
        assert due_among(connection, [one], 0, 2) == set()


def test_a_dataset_that_is_made_while_a_look_is_under_way_is_seen(
    new_postgres: Callable[..., str],
) -> None:
    """Its votes are under the look's horizon although it was not there when the look began."""
    database = open_database(new_postgres())
    made = []

    def make_one(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM datasets JOIN dataset_progress" in statement and not made:
            made.append(create_dataset(database, "late", Policy()))
            add_items(database, made[0], "a")
            cast(database, made[0], letters("a", "xxx"))

    sa.event.listen(sa.Engine, "after_cursor_execute", make_one)
    try:
        found = look(database, Position())
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", make_one)
    assert set(found.position.due) == {"late"}
