"""Random crowds for recounts: in a store, as a votes file, and results in a form that can be compared."""

import io
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq  # noqa: TID253

from hiveguard_pipeline.recount.fold import TABLES, VOTES, Stamp
from hiveguard_pipeline.recount.output import Result
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from tests.store.voting import add_items, cast, vote_ids

ANSWERS = ("cat", "dog", "猫", "a,b", "NULL", 'say "x"')
MOMENT = 1_793_491_200_000_000
STAMP = Stamp(Policy(), None, "run", MOMENT)
NOT_COMPARED = ("run_id", "applied_at")


def fill(database: Database, dataset: Dataset, items: int = 60, votes: int = 900, seed: int = 1) -> None:
    """Items with none to many votes in a random order, two of them gold; all states come up."""
    random = Random(seed)
    names = [f"i{number}" for number in range(items)]
    add_items(database, dataset, names)
    add_items(database, dataset, ["gold-1", "gold-2"], gold="cat")
    cast(database, dataset, more(random, [*names[:-1], "gold-1"], votes))
    ids = vote_ids(database, dataset)
    # Ids with gaps, as those of many datasets in one table have.
    with database.write() as connection:
        connection.execute(t.votes.delete().where(t.votes.c.vote_id.in_(ids[3::7])))


def more(random: Random, names: list[str], votes: int) -> list[tuple[str, str]]:
    """Votes on items, each of which has a truth and a difficulty of its own."""
    drawn = [random.choice(names) for _ in range(votes)]
    skill = {name: Random(name).choice([0.3, 0.7, 0.95, 1.0]) for name in names}
    truth = {name: Random(name).choice(ANSWERS) for name in names}
    return [
        (name, truth[name] if random.random() < skill[name] else random.choice(ANSWERS)) for name in drawn
    ]


def votes_table(votes: int = 5_000, items: int = 300, seed: int = 1) -> pa.Table:
    """Votes in arrival order, on items of uuid-like ids."""
    random = np.random.default_rng(seed)
    ids = pa.array(
        [f"{number * 2_654_435_761 % 2**32:08x}-0000-5000-8000-{number:012x}" for number in range(items)]
    )
    item = np.minimum(random.geometric(3 / items, votes), items) - 1
    truth, skill = random.integers(0, 4, items), random.choice([0.3, 0.8, 0.97], items)
    answer = np.where(random.random(votes) < skill[item], truth[item], random.integers(0, 4, votes))
    return pa.table(
        {
            "item_id": ids.take(pa.array(item)),
            "vote_id": np.arange(10, 10 + votes) * 3,
            "answer": pa.array(ANSWERS[:4]).take(pa.array(answer)),
            "created_at": pa.array(MOMENT + np.arange(votes) * 1_000_001).cast(
                VOTES.field("created_at").type
            ),
        }
    )


def shuffled(votes: pa.Table, seed: int = 0) -> pa.Table:
    return votes.take(pa.array(np.random.default_rng(seed).permutation(votes.num_rows)))


def votes_file(folder: Path, votes: pa.Table, name: str = "votes.parquet") -> str:
    pq.write_table(votes, folder / name, row_group_size=1_000)
    return str(folder / name)


def serialised(output: str, ignoring: tuple[str, ...] = NOT_COMPARED) -> dict[str, bytes]:
    """The three tables of a result in one order, as bytes; without what says when and by whom."""
    result = Result(output)
    found = {}
    for name in TABLES:
        table = result.table(name)
        table = table.drop_columns([column for column in ignoring if column in table.column_names])
        stream = io.BytesIO()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        found[name] = stream.getvalue()
    return found


def rows(output: str, name: str) -> list[dict[str, Any]]:
    return list(Result(output).table(name).to_pylist())
