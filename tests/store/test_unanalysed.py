"""Tables that PostgreSQL has no figures of: what a statement goes through still follows the new votes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import bulk
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.retraction.world import WHO, put

from .voting import add_items

ITEMS = 1_000
TABLES = ("items", "votes", "labels", "batches", "recheck_items", "contested_items")


class Explained:
    """Runs of SELECTs in the test, explained before they go: how many rows each went through."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def explain(self, run: Callable[[str], Any], select: str) -> None:
        (plan,) = run(f"EXPLAIN (ANALYZE, FORMAT JSON) {select}")
        (top,) = plan if isinstance(plan, list) else json.loads(plan)
        self.rows[select] = max(self.rows.get(select, 0), _gone_through(top["Plan"]))


def _gone_through(node: dict[str, Any]) -> int:
    removed = sum(count for name, count in node.items() if name.startswith("Rows Removed by"))
    own = round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return own + sum(_gone_through(child) for child in node.get("Plans", []))


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> Iterator[Explained]:
    """What is read in bulk and what fills temporary tables."""
    found = Explained()
    read = bulk._read_postgres

    def read_explained(
        connection: sa.Connection, query: str, parameters: dict[str, Any], types: dict[str, type]
    ) -> bulk.Columns:
        with bulk.raw_cursor(connection) as cursor:

            def run(statement: str) -> Any:
                cursor.execute(statement)
                return cursor.fetchone()

            copied = bulk.copy_statement(cursor, query, parameters)
            found.explain(run, copied.removeprefix("COPY (").rpartition(") TO STDOUT")[0])
        return read(connection, query, parameters, types)

    def before(
        _connection: Any, cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        begin, middle, select = statement.partition(" SELECT ")
        if middle and begin in ("CREATE TEMPORARY TABLE work AS", "INSERT INTO touched"):

            def run(text: str) -> Any:
                cursor.execute(text, parameters)
                return cursor.fetchone()

            found.explain(run, f"SELECT {select}")

    monkeypatch.setattr(bulk, "_read_postgres", read_explained)
    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    yield found
    sa.event.remove(sa.Engine, "before_cursor_execute", before)


def forget_figures(database: Database) -> None:
    with database.write() as connection:
        for table in TABLES:
            relation = {"relation": table}
            connection.execute(
                sa.text("DELETE FROM pg_statistic WHERE starelid = CAST(:relation AS regclass)"), relation
            )
            connection.execute(
                sa.text(
                    "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = CAST(:relation AS regclass)"
                ),
                relation,
            )


def test_no_statement_goes_through_all_items_for_each(
    new_postgres: Callable[..., str], explained: Explained
) -> None:
    database = open_database(new_postgres())
    create_dataset(database, "other", Policy())
    dataset = create_dataset(database, "animals", Policy())
    names = [f"item-{number}" for number in range(ITEMS)]
    add_items(database, dataset, names)
    position = Position()
    for first in (0, 5):  # the first run looks at every item, the second at those that got votes
        solvers = enumerate("xxxyx", start=first)
        put(database, dataset, [(name, f"s{solver}", answer) for solver, answer in solvers for name in names])
        forget_figures(database)
        position = look(database, position).position
        assert list(position.due) == ["animals"]
        assert apply_votes(database, "animals", run_id="run").items_read == ITEMS
    forget_figures(database)
    assert exclude(database, "animals", ["s0"], **WHO).items == ITEMS
    database.engine.dispose()
    most = max(explained.rows.values())
    assert len(explained.rows) > 5
    assert most < 60 * ITEMS, [query for query, rows in explained.rows.items() if rows == most]
