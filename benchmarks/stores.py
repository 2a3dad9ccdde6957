"""Stores that the benchmarks measure on, filled by the database itself: no vote or label passes Python."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import sqlalchemy as sa

from benchmarks.places import Place, Store
from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset

NAME = "bench"
MOMENT = "2026-01-01T00:00:00.000000Z"
CLASSES = ("bicycle", "bus", "crosswalk", "hydrant")
VOTES_AN_ITEM = 15
"""Votes of each item of a history: a first pass of three, and four batches."""

_FILL_CACHE = "PRAGMA cache_size = -2000000"


def labels_store(place: Place, count: int) -> Store:
    """A store of that many labels, in re-validation and graduated."""
    store = place.new(f"labels_{count}")
    database = store.open()
    dataset = fill_items(database, count)
    _fill_labels(database, dataset, count, votes=False)
    place.settle(store)
    return store


def pool_store(place: Place, count: int) -> Store:
    """A store of that many items: half unlabeled, a third in re-validation, the rest graduated, some gold."""
    store = place.new(f"pool_{count}")
    database = store.open()
    dataset = fill_items(database, count)
    _fill_labels(database, dataset, count // 2, votes=False)
    with database.write() as connection:
        connection.execute(
            sa.text(
                "UPDATE items SET gold_label = 'bus' WHERE item_id IN (SELECT i.item_id FROM items i"
                " LEFT JOIN labels l ON l.item_id = i.item_id WHERE l.item_id IS NULL LIMIT 1000)"
            )
        )
    place.settle(store)
    return store


def votes_store(place: Place, votes: int, items: int) -> Store:
    """A store of votes on random items, four in five on the same answer; none is processed yet."""
    store = place.new(f"votes_{votes}")
    database = store.open()
    fill_items(database, items)
    sqlite = database.is_sqlite

    def some(count: int) -> str:
        return f"abs(random() % {count})" if sqlite else f"CAST(floor(random() * {count}) AS bigint)"

    with _filling(database, "votes"), database.write(check_references=False) as connection:
        _number_items(connection)
        connection.execute(
            sa.text(
                f"CREATE TEMPORARY TABLE drawn AS SELECT n AS vote_id, 1 + {some(items)} AS item,"
                f" {some(5)} AS doubt, {some(len(CLASSES))} AS guess FROM {series(sqlite, votes)}"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO votes (vote_id, item_id, solver_id, answer, duration_ms, created_at)"
                " SELECT d.vote_id, i.item_id, 'solver-' || d.vote_id,"
                f" {word('CASE WHEN d.doubt = 0 THEN d.guess ELSE i.n % 4 END')}, 1500, {moment(sqlite)}"
                f" FROM drawn d {'CROSS' if sqlite else ''} JOIN numbered i"
                f" {'WHERE' if sqlite else 'ON'} i.n = d.item ORDER BY d.vote_id"
            )
        )
        connection.execute(sa.text("DROP TABLE drawn"))
        _drop_numbers(connection)
    place.settle(store)
    return store


def history_store(place: Place, votes: int) -> Store:
    """A store with that many processed votes and their ledger, and a tenth as many items that wait.

    Each labelled item has VOTES_AN_ITEM votes, which came in rounds over all items. The items that wait
    have one or two votes: too few for a label.
    """
    store = place.new(f"history_{votes}")
    database = store.open()
    items, waiting = votes // VOTES_AN_ITEM, votes // 10
    dataset = fill_items(database, items + waiting)
    time = moment(database.is_sqlite)
    vote = (
        "INSERT INTO votes (vote_id, item_id, solver_id, answer, duration_ms, created_at)"
        f" SELECT :before + n, item_id, :solver, {word('n % 4')}, 1500, {time} FROM numbered WHERE"
    )
    with _filling(database, "votes", "batches"), database.write(check_references=False) as connection:
        _number_items(connection)
        for number in range(VOTES_AN_ITEM):
            connection.execute(
                sa.text(f"{vote} n <= :items ORDER BY n"),
                {"before": number * items, "items": items, "solver": f"solver-{number}"},
            )
        for number in range(2):
            connection.execute(
                sa.text(f"{vote} n > :items AND n % 2 <= :odd ORDER BY n"),
                {
                    "solver": f"solver-{number}",
                    "before": (VOTES_AN_ITEM - 1) * items + number * waiting,
                    "items": items,
                    "odd": 1 - number,
                },
            )
        for number in range(VOTES_AN_ITEM // 3):
            connection.execute(
                sa.text(
                    "INSERT INTO batches (item_id, policy_id, generation, kind, first_vote_id, last_vote_id,"
                    " agree, disagree, label, confidence_before, confidence_after, state_after, run_id,"
                    " applied_at) SELECT item_id, (SELECT max(policy_id) FROM policies), 1, :kind,"
                    f" :before + n, :before + 2 * :items + n, 3, 0, {word('n % 4')}, :least, :least,"
                    f" 'in_revalidation', 'history', {time} FROM numbered WHERE n <= :items ORDER BY n"
                ),
                {
                    "kind": "revalidation" if number else "first_pass",
                    "before": 3 * number * items,
                    "items": items,
                    "least": 700_000,
                },
            )
        _drop_numbers(connection)
    _fill_labels(database, dataset, items, votes=True)
    with database.write() as connection:
        connection.execute(
            sa.text(
                "UPDATE dataset_progress SET folded_through = (SELECT max(vote_id) FROM votes),"
                " ledger_position = (SELECT max(batch_id) FROM batches),"
                " policy_id = (SELECT max(policy_id) FROM policies)"
            )
        )
    place.settle(store)
    return store


def add_votes(database: Database, items: str, count: int, each: int, solver: str) -> None:
    """`each` votes on `count` items drawn from a query (item_id, label), in rounds over these items.

    The second vote on an item is against its label, the others for it.
    """
    with database.write() as connection:
        connection.execute(
            sa.text(
                f"CREATE TEMPORARY TABLE chosen AS SELECT item_id, label FROM ({items}) drawn"
                f" ORDER BY random() LIMIT {count}"
            )
        )
        other = f"CASE label WHEN '{CLASSES[0]}' THEN '{CLASSES[1]}' ELSE '{CLASSES[0]}' END"
        for number in range(each):
            connection.execute(
                sa.text(
                    "INSERT INTO votes (item_id, solver_id, answer, duration_ms, created_at)"
                    f" SELECT item_id, '{solver}-{number}', {other if number == 1 else 'label'}, 1500,"
                    f" {moment(database.is_sqlite)} FROM chosen"
                )
            )
        connection.execute(sa.text("DROP TABLE chosen"))


def fill_items(database: Database, count: int) -> Dataset:
    """A dataset of that many items; their ids are scattered, as uuid5 scatters them."""
    dataset = create_dataset(database, NAME, Policy(), classes=CLASSES)
    sqlite = database.is_sqlite
    digits = "lower(hex(randomblob(16)))" if sqlite else "md5(n::text || :name)"
    item_id = (
        "substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-5' || substr(h, 14, 3) || '-8' ||"
        " substr(h, 18, 3) || '-' || substr(h, 21, 12)"
    )
    if not sqlite:
        item_id = f"CAST({item_id} AS uuid)"
    # SQLite keeps items in item_id order: in that order they are written fast.
    numbered = f"SELECT {digits} AS h, n FROM {series(sqlite, count)}"
    if sqlite:
        numbered = f"SELECT h, row_number() OVER (ORDER BY h) AS n FROM ({numbered}) made"
    with _filling(database, "items"), database.write(check_references=False) as connection:
        if sqlite:
            connection.exec_driver_sql(_FILL_CACHE)
        connection.execute(
            sa.text(
                "INSERT INTO items (item_id, dataset_id, external_id, data_ref, modality, created_at)"
                f" SELECT {item_id}, :dataset, 'item-' || n, 'https://images.example/crowd/' || n || '.jpg',"
                f" 'image', {moment(sqlite)} FROM ({numbered}) numbered"
            ),
            {"dataset": dataset.dataset_id, **({} if sqlite else {"name": NAME})},
        )
    return dataset


def fill_named_items(database: Database, count: int) -> Dataset:
    """A dataset of the items that `data.write_import` names, with the ids that an import gives them."""
    dataset = create_dataset(database, NAME, Policy(), classes=CLASSES)
    names = pa.array([f"item-{number:07d}" for number in range(count)])
    with database.write() as connection:
        insert_items(
            connection, dataset, names, data_ref=names, modality=pa.repeat(pa.scalar("image"), count)
        )
    return dataset


def _fill_labels(database: Database, dataset: Dataset, count: int, *, votes: bool) -> None:
    """Labels of the first `count` items as they are numbered; `votes`: those of a history are there."""
    false = "0" if database.is_sqlite else "false"
    with _filling(database, "labels"), database.write(check_references=False) as connection:
        _number_items(connection)
        connection.execute(
            sa.text(
                "INSERT INTO labels (item_id, dataset_id, label, confidence, state, needs_review, vote_count,"
                " revalidation_vote_count, revalidation_epochs, policy_id, generation, applied_through,"
                f" created_at, updated_at) SELECT item_id, :dataset, {word('n % 4')},"
                " CASE WHEN n % 3 = 0 THEN 850000 + (n % 4) * 50000 ELSE 600000 + (n % 5) * 50000 END,"
                " CASE WHEN n % 3 = 0 THEN 'graduated' ELSE 'in_revalidation' END,"
                f" {false}, 3, {VOTES_AN_ITEM - 3}, CASE WHEN n % 3 = 0 THEN 1 ELSE 0 END,"
                f" (SELECT max(policy_id) FROM policies), 1, {':before + n' if votes else '0'},"
                f" {moment(database.is_sqlite)}, {moment(database.is_sqlite)}"
                " FROM numbered WHERE n <= :count ORDER BY item_id"
            ),
            {
                "dataset": dataset.dataset_id,
                "count": count,
                **({"before": (VOTES_AN_ITEM - 1) * count} if votes else {}),
            },
        )
        _drop_numbers(connection)


def _number_items(connection: sa.Connection) -> None:
    """The temporary table `numbered`: items as 1, 2, ... in an order that is not that of their ids."""
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        connection.exec_driver_sql(_FILL_CACHE)
    key, text = ("INTEGER PRIMARY KEY", "TEXT") if sqlite else ("bigint", "uuid")
    connection.execute(sa.text(f"CREATE TEMPORARY TABLE numbered (n {key}, item_id {text})"))
    connection.execute(
        sa.text(
            "INSERT INTO numbered SELECT row_number() OVER (ORDER BY substr(CAST(item_id AS text), 10)),"
            " item_id FROM items"
        )
    )
    if not sqlite:
        connection.execute(sa.text("ANALYZE numbered"))


def _drop_numbers(connection: sa.Connection) -> None:
    connection.execute(sa.text("DROP TABLE numbered"))


@contextmanager
def _filling(database: Database, *tables: str) -> Iterator[None]:
    """Indexes and foreign keys of some tables are taken off and made again afterwards, all rows at once."""
    made = {name: sa.MetaData() for name in tables}
    again: list[sa.schema.ExecutableDDLElement] = []
    with database.write() as connection:
        for name, metadata in made.items():
            table = sa.Table(name, metadata, autoload_with=connection)
            for index in list(table.indexes):
                connection.execute(sa.schema.DropIndex(index))
                again.append(sa.schema.CreateIndex(index))
            for key in [] if database.is_sqlite else list(table.foreign_key_constraints):
                connection.execute(sa.schema.DropConstraint(key))
                again.append(sa.schema.AddConstraint(key))
    yield
    with database.write() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql(_FILL_CACHE)
        else:
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
        for statement in again:
            connection.execute(statement)
        if not database.is_sqlite and "votes" in tables:
            connection.execute(
                sa.text("SELECT setval(pg_get_serial_sequence('votes', 'vote_id'), max(vote_id)) FROM votes")
            )


def series(sqlite: bool, count: int) -> str:
    """SQL for a table of n = 1 .. count."""
    if sqlite:
        return (
            "(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
            f" WHERE n < {count}) SELECT n FROM numbers) counted"
        )
    return f"generate_series(1, {count}) AS counted(n)"


def word(number: str) -> str:
    """SQL for the class of a number, 0 .. 3."""
    cases = " ".join(f"WHEN {code} THEN '{name}'" for code, name in enumerate(CLASSES))
    return f"CASE {number} {cases} END"


def moment(sqlite: bool) -> str:
    """SQL for the time that everything here happened at."""
    return f"'{MOMENT}'" if sqlite else f"CAST('{MOMENT}' AS timestamptz)"
