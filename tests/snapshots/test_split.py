"""The split is a hash of the group: a row never moves, groups stay together, the share is kept."""

import hashlib

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hiveguard_pipeline.snapshots.split import (
    ALL,
    group_hashes,
    in_train,
    limit_of_rank,
    limit_of_share,
    split_names,
)
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.tables import item_uuid
from tests.snapshots.conftest import NAMES, Snap, details
from tests.snapshots.test_create import rows_of
from tests.store.voting import add_items, cast, letters

KEYS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=40)
SHARES = st.integers(0, 1_000_000)


def plainly(salt: str, key: str, share: int) -> bool:
    digest = hashlib.sha256(salt.encode() + b"\0" + key.encode()).digest()
    return int.from_bytes(digest[:8], "big") * 1_000_000 < share * 2**64


@given(KEYS, SHARES, st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
def test_each_row_is_where_the_documented_rule_puts_it(keys: list[str], share: int, salt: str) -> None:
    train = in_train(group_hashes(salt, pa.array(keys, pa.string())), limit_of_share(share))
    assert train.tolist() == [plainly(salt, key, share) for key in keys]


@given(KEYS, KEYS, SHARES)
def test_no_row_moves_as_a_dataset_grows(keys: list[str], more: list[str], share: int) -> None:
    before = in_train(group_hashes("s", pa.array(keys, pa.string())), limit_of_share(share))
    after = in_train(group_hashes("s", pa.array([*more, *keys], pa.string())), limit_of_share(share))
    assert after[len(more) :].tolist() == before.tolist()


@given(st.sets(st.text("abc", max_size=6), min_size=1), SHARES)
def test_the_exact_split_keeps_the_share_to_half_a_row(keys: set[str], share: int) -> None:
    hashes = group_hashes("s", pa.array(sorted(keys), pa.string()))
    train = int(in_train(hashes, limit_of_rank(hashes, share)).sum())
    assert abs(train - len(keys) * share / 1_000_000) <= 0.5


@given(st.lists(st.text("abc", max_size=2), min_size=1), SHARES)
def test_the_exact_split_keeps_groups_together_and_never_exceeds_the_share(
    keys: list[str], share: int
) -> None:
    hashes = group_hashes("s", pa.array(keys, pa.string()))
    train = in_train(hashes, limit_of_rank(hashes, share))
    for key in set(keys):
        assert len({bool(here) for here, name in zip(train, keys, strict=True) if name == key}) == 1
    assert train.sum() <= len(keys) * share / 1_000_000 + 0.5


def test_of_many_rows_the_share_is_that_of_train() -> None:
    hashes = group_hashes("animals", pa.array([f"item-{n}" for n in range(100_000)]))
    assert abs(in_train(hashes, limit_of_share(850_000)).mean() - 0.85) < 0.005
    assert limit_of_share(1_000_000) == ALL
    assert in_train(np.array([2**64 - 1], np.uint64), ALL).all()
    assert split_names(np.array([True, False])).to_pylist() == ["train", "validation"]


def test_a_snapshot_keeps_every_row_where_it_was_and_groups_together(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    for name in NAMES[:6]:
        details(database, item_uuid("animals", name), group_key="one patient")
    first = {row["external_id"]: row["split"] for row in rows_of(root, snap().file)}
    assert len({first[name] for name in NAMES[:6]}) == 1
    more = [f"more-{n}" for n in range(30)]
    add_items(database, labelled, more)
    cast(database, labelled, [vote for name in more for vote in letters(name, "x" * 15)])
    apply_votes(database, "animals", run_id="run-2")
    after = {row["external_id"]: row["split"] for row in rows_of(root, snap().file)}
    assert {name: after[name] for name in first} == first
    exact = [row["split"] for row in rows_of(root, snap(split="exact").file)]
    assert 30 <= exact.count("train") <= 36
