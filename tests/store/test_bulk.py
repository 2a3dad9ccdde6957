"""Columns come out of either database exactly as they went in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg2.errors
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.stream import stream_columns

TYPES: dict[str, type] = {"n": int, "number": int, "words": str}
QUERY = "SELECT n, number, words FROM odd WHERE n >= :least ORDER BY n"

TEXTS = [
    None, "", " ", "NULL", "null", "\\N", "\\.", '"', '""', "'", "a,b", "a\nb", "\r\n", "\r", "\t", "=1+1",
    "+1", "-1", "@x", "%s", "%(n)s", ":n", "\\", "\\n", "é", "猫", "😀", "\u2028", "\x7f", "\x01", "01",
    "NaN", "x" * 100_000, "\ufeffx", "e\u0301",
]  # fmt: skip
BIG = 2**63 - 1


@contextmanager
def table(database: Database) -> Iterator[sa.Connection]:
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE odd (n bigint, number bigint, words text)"))
        yield connection
        connection.execute(sa.text("DROP TABLE odd"))


def appended(connection: sa.Connection, words: list[str | None], numbers: list[int] | None = None) -> int:
    columns = {
        "n": np.arange(len(words)),
        "number": np.array(numbers if numbers is not None else [0] * len(words), dtype=np.int64),
        "words": pa.array(words, type=pa.string()),
    }
    return append(connection, "odd", columns)


def read(connection: sa.Connection, least: int = 0) -> list[tuple[Any, ...]]:
    columns = read_columns(connection, QUERY, {"least": least}, TYPES)
    assert columns["n"].dtype == columns["number"].dtype == np.int64
    assert columns["words"].type == pa.string()
    return list(zip(columns["n"], columns["number"], columns["words"].to_pylist(), strict=True))


def streamed(connection: sa.Connection) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for batch in stream_columns(connection, QUERY, {"least": 0}, TYPES):
        rows.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return rows


@pytest.mark.parametrize("way", [read, streamed])
def test_odd_texts_and_large_numbers_come_back(database: Database, way: Any) -> None:
    numbers = [(-1) ** n * (BIG - n) for n in range(len(TEXTS))]
    with table(database) as connection:
        assert appended(connection, TEXTS, numbers) == len(TEXTS)
        assert way(connection) == list(zip(range(len(TEXTS)), numbers, TEXTS, strict=True))


def test_what_is_written_is_what_plain_sql_reads(database: Database) -> None:
    with table(database) as connection:
        appended(connection, TEXTS)
        assert connection.execute(sa.text("SELECT words FROM odd ORDER BY n")).scalars().all() == TEXTS


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.none() | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
        max_size=20,
    ),
    numbers=st.lists(st.integers(-BIG - 1, BIG), min_size=20, max_size=20),
)
def test_any_texts_and_numbers_come_back(
    database: Database, words: list[str | None], numbers: list[int]
) -> None:
    with table(database) as connection:
        appended(connection, words, numbers[: len(words)])
        expected = list(zip(range(len(words)), numbers, words, strict=False))
        assert read(connection) == expected
        assert streamed(connection) == expected


def test_no_rows_are_empty_columns_of_their_types(database: Database) -> None:
    with table(database) as connection:
        assert appended(connection, []) == 0
        assert read(connection) == []
        assert streamed(connection) == []


def test_a_single_row_of_null_or_nothing_is_a_row(database: Database) -> None:
    for words in ([None], [""]):
        with table(database) as connection:
            appended(connection, words)
            assert read(connection) == streamed(connection) == [(0, 0, *words)]


def test_many_rows_come_back_in_order_whole_and_in_batches(database: Database) -> None:
    count = 150_000
    with table(database) as connection:
        assert appended(connection, [f"w{n}" for n in range(count)], list(range(count))) == count
        assert read(connection)[-1] == (count - 1, count - 1, f"w{count - 1}")
        assert len(read(connection, least=count - 5)) == 5
        batches = list(stream_columns(connection, QUERY, {"least": 0}, TYPES))
    assert len(batches) > 1
    assert {len(batch) for batch in batches[:-1]} == {16_384}, "the same on both: Parquet files show it"
    assert np.array_equal(np.concatenate([batch["n"].to_numpy() for batch in batches]), np.arange(count))


@pytest.mark.parametrize("wanted", [0, 1, 3])
def test_a_stream_that_is_closed_early_leaves_its_transaction_as_it_was(
    database: Database, wanted: int
) -> None:
    many = "SELECT generate_series(1, 500000000) AS n"
    if database.is_sqlite:
        many = (
            "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 500000000)"
            " SELECT n FROM r"
        )
    endless = f"SELECT n, n AS number, 'word' AS words FROM ({many}) s"
    with table(database) as connection:
        appended(connection, ["x"])
        stream = stream_columns(connection, endless, {}, TYPES)
        for first in range(wanted):
            assert next(stream)["n"][0].as_py() >= first + 1
        stream.close()
        assert read(connection) == [(0, 0, "x")]
        assert streamed(connection) == [(0, 0, "x")]


def test_what_ends_a_stream_is_raised_where_it_is_read_and_the_transaction_goes_on(
    new_postgres: Callable[..., str],
) -> None:
    database = open_database(new_postgres())
    many = "SELECT generate_series(1, 200000) AS n"
    broken = f"SELECT n, 10 / (100000 - n) AS number, 'word' AS words FROM ({many}) s"
    with table(database) as connection:
        appended(connection, ["x"])
        stream = stream_columns(connection, broken, {}, TYPES)
        assert len(next(stream)) > 0
        with pytest.raises(psycopg2.errors.DivisionByZero):
            list(stream)
        assert streamed(connection) == [(0, 0, "x")]
    database.engine.dispose()


@pytest.mark.parametrize("size", [2_000_000, 20_000_000])
def test_a_text_of_megabytes_comes_back(database: Database, size: int) -> None:
    words: list[str | None] = ["x", "y" * size, 'q"\n' * (size // 3), "z"]
    with table(database) as connection:
        appended(connection, words)
        assert [row[2] for row in read(connection)] == words
        assert [row[2] for row in streamed(connection)] == words


def test_a_query_may_hold_percent_signs_and_casts(database: Database) -> None:
    query = "SELECT n, CAST(n AS int) AS number, words FROM odd WHERE words LIKE '%,%' AND words <> :other"
    with table(database) as connection:
        appended(connection, TEXTS)
        found = read_columns(connection, query, {"other": "50%"}, TYPES)
        assert found["words"].to_pylist() == ["a,b"]


def test_what_is_appended_is_part_of_the_callers_transaction(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE odd (n bigint, number bigint, words text)"))
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        assert appended(connection, ["x"]) / 0
    with database.read() as connection:
        assert read(connection) == []
