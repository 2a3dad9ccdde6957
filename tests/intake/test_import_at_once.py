"""Imports of many rows, and imports while the challenge server writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import hiveguard_pipeline.intake.votes as importing
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid

HEADER = "external_id,solver_id,answer\n"


def a_file(folder: Path, rows: list[str]) -> Path:
    path = folder / "votes.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def insert(database: Database, item: str, solver: str, answer: str) -> None:
    """A vote as the challenge server writes it."""
    with database.write() as connection:
        connection.execute(
            sa.text("INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, :solver, :answer)"),
            {"item": item_uuid("animals", item), "solver": solver, "answer": answer},
        )


def count(database: Database, query: str) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text(query)).scalar_one())


def test_after_a_large_import_a_solver_still_counts_once_an_item(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    path = a_file(tmp_path, [f"i{n % 50},s{n},a" for n in range(3_000)])
    assert import_votes(database, dataset.name, path, create_items=True).accepted == 3_000
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, "i7", "s7", "b")
    insert(database, "i7", "s8", "b")
    assert count(database, "SELECT count(*) FROM votes") == 3_001


def test_a_large_import_that_fails_leaves_the_table_as_it_was(
    database: Database, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_votes(database, dataset.name, a_file(tmp_path, ["i7,s7,a"]), create_items=True)

    def fail(*_: Any) -> int:
        raise RuntimeError("stopped")

    monkeypatch.setattr(importing, "_record", fail)
    path = a_file(tmp_path, [f"i{n},s,a" for n in range(3_000)])
    with pytest.raises(RuntimeError, match="stopped"):
        import_votes(database, dataset.name, path, create_items=True)
    assert count(database, "SELECT count(*) FROM votes") == 1
    assert count(database, "SELECT count(*) FROM items") == 1
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, "i7", "s7", "b")


def test_a_vote_that_comes_while_a_file_is_judged_makes_its_row_a_duplicate(
    new_postgres: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(new_postgres())
    dataset = create_dataset(database, "animals", Policy())
    import_votes(database, dataset.name, a_file(tmp_path, ["i1,s1,a", "i2,s1,a"]), create_items=True)
    judge, judged = importing.judge, []

    def judge_slowly(*given: Any) -> Any:
        found = judge(*given)
        judged.append(found)
        if len(judged) == 1:
            insert(database, "i1", "s2", "b")
            insert(database, "i2", "s2", "a")
        return found

    monkeypatch.setattr(importing, "judge", judge_slowly)
    done = import_votes(database, dataset.name, a_file(tmp_path, ["i1,s2,a", "i2,s2,a", "i2,s3,a"]))
    assert len(judged) == 2
    assert (done.accepted, done.already_known, done.reasons) == (1, 1, {"duplicate_vote": 1})
    assert count(database, "SELECT count(*) FROM votes") == 5
