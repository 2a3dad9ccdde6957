"""A recount of a dataset whose classes changed counts under those of now, here, from files and on Spark."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.classes import add_classes, merge_classes, rename_class
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports.votes import export_votes
from hiveguard_pipeline.recount.into_database import write_back
from hiveguard_pipeline.recount.job import Request, recount_votes
from hiveguard_pipeline.recount.output import Result
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import find_item
from tests.store.voting import add_items, cast, letters

WHO = {"actor": "lead", "reason": "a test"}


@pytest.fixture
def pets(database: Database) -> Dataset:
    """`same`: a first pass that the merge leaves as it is; `other`: one that it would make another."""
    dataset = create_dataset(database, "pets", Policy(), classes=tuple("abcd"))
    add_items(database, dataset, ["same", "other", "split"])
    cast(database, dataset, letters("same", "ccc"))
    cast(database, dataset, letters("other", "aab"))
    apply_votes(database, dataset.name, run_id="r")
    rename_class(database, dataset.name, "c", "C", **WHO)
    merge_classes(database, dataset.name, ["a", "b"], "ab", **WHO)
    cast(database, dataset, letters("same", "cCa") + letters("split", "abc"))
    return dataset


def recounted(database: Database, output: Path, **more: Any) -> dict[str, tuple[Any, ...]]:
    """label and confidence of each item by item_id."""
    request = Request("local", "recount", "pets", output=str(output), **more)
    recount_votes(request, database, lambda *_: None, lambda _: None)
    rows = Result(str(output)).table("labels").to_pylist()
    return {row["item_id"]: (row["label"], row["confidence"], row["vote_count"]) for row in rows}


def _ids(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {name: find_item(connection, name, "pets").item_id for name in ("same", "other", "split")}


def test_it_counts_under_the_names_of_now_and_goes_into_the_database(
    database: Database, pets: Dataset, tmp_path: Path
) -> None:
    ids = _ids(database)
    found = recounted(database, tmp_path / "here")
    assert found == {
        ids["same"]: ("C", 1.0, 3),
        ids["other"]: ("ab", 1.0, 3),
        ids["split"]: ("ab", 0.666667, 3),
    }
    votes = tmp_path / "votes.parquet"
    with votes.open("wb") as stream:
        export_votes(database, stream, "parquet", "pets")
    assert recounted(database, tmp_path / "files", votes=str(votes)) == found
    done = write_back(database, "pets", Result(str(tmp_path / "here")), run_id="recount")
    # The ledger of `same` leads where the recount does: it goes on. That of `other` does not: it begins anew.
    assert (done.extended, done.new_generations, done.unchanged) == (2, 1, 0)
    with database.read() as connection:
        labels = {
            name: (item.label, item.generation, item.revalidation_vote_count)
            for name in ids
            for item in [find_item(connection, name, "pets")]
        }
    assert labels == {"same": ("C", 1, 3), "other": ("ab", 2, 0), "split": ("ab", 1, 0)}
    assert verify(database, "pets").findings == []
    assert apply_votes(database, "pets", run_id="after").votes_applied == 0


def test_a_result_of_other_classes_is_refused(database: Database, pets: Dataset, tmp_path: Path) -> None:
    recounted(database, tmp_path / "here")
    add_classes(database, "pets", ["e"], **WHO)
    with pytest.raises(BadInputError, match="under other classes than pets has now"):
        write_back(database, "pets", Result(str(tmp_path / "here")), run_id="recount")


@pytest.mark.slow
def test_spark_counts_as_this_machine_does(
    database_url: str, database: Database, pets: Dataset, tmp_path: Path
) -> None:
    here = recounted(database, tmp_path / "here")
    # A process of its own: a Spark that starts here would be there for other tests, without their jars.
    command = [str(Path(sys.executable).parent / "hiveguard"), "recount", "--engine", "spark"]
    command += ["--dataset", "pets", "--master", "local[1]", "--output", str(tmp_path / "spark")]
    environment = os.environ | {"HIVEGUARD_DATABASE_URL": database_url, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = Result(str(tmp_path / "spark")).table("labels").to_pylist()
    assert {row["item_id"]: (row["label"], row["confidence"], row["vote_count"]) for row in rows} == here
