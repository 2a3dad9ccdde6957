"""A snapshot of labels that Spark counted has the id of the database's own."""

from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import export_votes
from hiveguard_pipeline.recount.fold import Stamp
from hiveguard_pipeline.recount.output import Source
from hiveguard_pipeline.recount.session import one_line_errors
from hiveguard_pipeline.recount.spark import recount_on_spark, votes_of_files
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots import Selection, create_snapshot
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from tests.recount.conftest import java as java
from tests.recount.conftest import spark as spark


@pytest.mark.slow
def test_spark_and_the_database_give_one_id(
    spark: Any, database: Database, labelled: Dataset, root: str, tmp_path: Path
) -> None:
    votes = tmp_path / "votes.parquet"
    with votes.open("wb") as stream:
        export_votes(database, stream, "parquet", "animals")
    stamp, output = Stamp(Policy(), 1, "elsewhere", 0), str(tmp_path / "recount")
    source = Source(str(votes), dataset="animals")
    with one_line_errors():
        recount_on_spark(spark, votes_of_files(spark, str(votes)), source, stamp, output)
    for selection in (Selection(), Selection(graduated=False, min_confidence=700_000)):
        ours = create_snapshot(database, "animals", root, selection=selection)
        theirs = create_snapshot(database, "animals", root, selection=selection, recount=output)
        assert (ours.is_new, theirs.is_new) == (True, False)
    create_dataset(database, "others", Policy())
    with pytest.raises(BadInputError, match="a recount of animals"):
        create_snapshot(database, "others", root, recount=output)
