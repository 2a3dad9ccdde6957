"""Files that the benchmarks read: votes as arrays, as CSV and as Parquet. Random, but the same each time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.stores import CLASSES, MOMENT, NAME
from hiveguard_pipeline.store.tables import item_uuids

SOLVERS = 20_000
BAD_ROWS = 300
VOTES_AT_ONCE = 1_000_000


def draw(votes: int, items: int, seed: int = 0) -> tuple[Any, Any]:
    """Item and answer of each vote: random items, four in five answers right."""
    random = np.random.default_rng(seed)
    item = random.integers(0, items, votes)
    truth = random.integers(0, len(CLASSES), items)
    guessed = random.integers(0, len(CLASSES), votes)
    answer = np.where(random.random(votes) < 0.8, truth[item], guessed)
    return item.astype(np.int64), answer.astype(np.int32)


def write_arrays(arriving: Path, grouped: Path, votes: int, items: int) -> None:
    """The same votes twice: in arrival order (item, answer), and by item (offsets, answers)."""
    item, answer = draw(votes, items)
    order = np.argsort(item, kind="stable")
    offsets = np.searchsorted(item[order], np.arange(items + 1)).astype(np.int64)
    np.savez(arriving, item=item, answer=answer, items=np.int64(items))
    np.savez(grouped, offsets=offsets, answers=answer[order], items=np.int64(items))


def write_crowd(path: Path, votes: int, items: int, solvers: int) -> None:
    """Votes of solvers who differ in how often they are right (item, solver, answer), grouped by item."""
    random = np.random.default_rng(2)
    drawn = np.unique(random.integers(0, items * solvers, votes + votes // 5))  # a solver votes once an item
    item, solver = np.divmod(np.sort(random.choice(drawn, votes, replace=False)), solvers)
    truth = random.integers(0, len(CLASSES), items)
    right = random.random(votes) < random.beta(6, 2.5, solvers)[solver]
    answer = np.where(right, truth[item], random.integers(0, len(CLASSES), votes))
    order = np.argsort(item + random.random(votes))  # arrival order is not that of the solvers
    np.savez(
        path,
        item=item[order].astype(np.int32),
        solver=solver[order].astype(np.int32),
        answer=answer[order].astype(np.int32),
        items=np.int64(items),
        solvers=np.int64(solvers),
    )


def write_import(ours: Path, bare: Path, numbered: Path, votes: int, items: int) -> None:
    """Votes as CSV, in three files of as many rows.

    ours: for `hiveguard votes import`, with votes given twice and BAD_ROWS that cannot be votes.
    bare: what ends up in the votes table, without a heading; numbered: the same with vote_id in front.
    """
    item, answer = draw(votes, items)
    random = np.random.default_rng(1)
    solver = random.integers(0, SOLVERS, votes)
    words = pa.array(CLASSES).take(pa.array(answer)).to_pylist()
    names = [f"item-{number:07d}" for number in range(items)]
    columns = {
        "solver_id": _texts("solver-", solver),
        "answer": pa.array(words),
        "duration_ms": pa.array(random.integers(400, 9000, votes)),
        "created_at": pa.repeat(pa.scalar(MOMENT), votes),
    }
    bad = random.choice(votes, min(BAD_ROWS, votes // 100), replace=False)
    for place in bad.tolist():
        words[place] = "" if place % 2 else "a zebra"
    external = pa.array(names).take(pa.array(item))
    csv.write_csv(pa.table({"external_id": external, **columns, "answer": pa.array(words)}), ours)
    # A pair of item and solver may come once: here each vote has a solver of its own.
    unique = {
        "item_id": pa.array(item_uuids(NAME, names)).take(pa.array(item)),
        **columns,
        "solver_id": _texts("solver-", np.arange(votes)),
    }
    plain = csv.WriteOptions(include_header=False)
    csv.write_csv(pa.table(unique), bare, plain)
    csv.write_csv(pa.table({"vote_id": pa.array(np.arange(1, votes + 1)), **unique}), numbered, plain)


def write_parquet(path: Path, votes: int, items: int) -> None:
    """Votes as Parquet, in arrival order, a million at a time."""
    import pyarrow.parquet as pq

    ids = pa.array(item_uuids(NAME, [f"item-{number:07d}" for number in range(items)]))
    schema = pa.schema(
        [
            ("item_id", pa.string()),
            ("vote_id", pa.int64()),
            ("answer", pa.string()),
            ("created_at", pa.string()),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, votes, VOTES_AT_ONCE):
            count = min(VOTES_AT_ONCE, votes - first)
            item, answer = draw(count, items, seed=first)
            writer.write_table(
                pa.table(
                    [
                        ids.take(pa.array(item)),
                        pa.array(np.arange(first + 1, first + count + 1)),
                        pa.array(CLASSES).take(pa.array(answer)),
                        pa.repeat(pa.scalar(MOMENT), count),
                    ],
                    schema=schema,
                )
            )


def _texts(prefix: str, numbers: Any) -> Any:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")
