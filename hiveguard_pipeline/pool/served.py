"""A dataset's pool in memory, for a server that is asked for items many times a second.

What is drawn by is in no index of the store, for each would cost every batch that is applied. So the pool is
read once, some items at a time, and kept up: what the ledger and the vote table say is new is read again by
key every few seconds. Whoever draws from it looks at the drawn items in the store before they are served, so
that being some seconds behind only ever costs another draw.

22 bytes an item: 220 MB for 10 million, and some 500 MB more while the pool is read anew.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.pool.rows import GOLD, LEAST_ID, TIER_1, TIER_2, read_rows, rows_after
from hiveguard_pipeline.pool.weighted import Levels, Weighted
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.selection import RANDOM_SHARE, weights
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy, progress_of
from hiveguard_pipeline.store.exclusions import retractions

ITEMS_AT_ONCE = 50_000

LATE_VOTES = 5_000
"""A vote may appear after one with a higher id: so many are read again."""

MOST_TOUCHED = 200_000
"""Items that are read again by key; more of them, and the pool is read anew."""

HANDED_SECONDS = 60.0
"""For how long an item of the labelling queue that was served counts as answered."""

_NIBBLE = np.zeros(256, dtype=np.uint8)
_NIBBLE[[*b"0123456789abcdef"]] = np.arange(16)
_HEX = [place for place in range(36) if place not in (8, 13, 18, 23)]


@dataclass(frozen=True, slots=True)
class Marks:
    """How far a pool has read: what has to change for anything in it to be out of date."""

    policy_id: int
    retractions: int
    import_id: int
    ledger_position: int
    vote_id: int
    selection_id: int


class ServedPool:
    """The items of a dataset by item_id: the tier of each, and what it is drawn by."""

    def __init__(self, dataset: Dataset, policy: Policy, rows: list[Columns], *, is_whole: bool) -> None:
        self.dataset, self.is_whole, self.loaded_at = dataset, is_whole, time.monotonic()
        self._policy = policy
        self._lock = threading.Lock()
        self._ids = _joined(rows, "key", "S16")
        self._levels = Levels(_joined(rows, "level", np.uint8))
        self._weights = Weighted(_joined(rows, "weight", np.float32))
        self._gold = np.flatnonzero(_joined(rows, "is_gold", np.bool_))
        self._queue = np.empty(0, dtype=np.int64)
        self._handed: dict[int, int] = {}
        self._handed_since = time.monotonic()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def tiers(self) -> tuple[int, int, int]:
        """Items of tier 1, tier 2, and gold."""
        with self._lock:
            return self._levels.present, self._weights.positive, len(self._gold)

    def draw(self, n: int, random: np.random.Generator) -> list[str]:
        """Ids of up to n items in serving order: tier 1, the labelling queue first by rank, then tier 2."""
        with self._lock:
            first = self._levels.draw(n, RANDOM_SHARE, random, self._asked_for())
            places = list(first)
            if len(places) < n:
                places += self._weights.draw(n - len(places), random).tolist()
            return [self._text(place) for place in places]

    def draw_gold(self, n: int, random: np.random.Generator) -> list[str]:
        """Ids of up to n gold items, in random order."""
        with self._lock:
            gold = self._gold
        if not len(gold):
            return []
        chosen = random.choice(gold, size=min(n, len(gold)), replace=False)
        return [self._text(int(place)) for place in chosen]

    def served(self, item_ids: Iterable[str]) -> None:
        """Note that items were handed out: for a while the labelling queue counts on their answers."""
        with self._lock:
            if time.monotonic() - self._handed_since > HANDED_SECONDS:
                self._handed, self._handed_since = {}, time.monotonic()
            if len(self._queue):
                for place in self._places(item_ids).tolist():
                    self._handed[place] = self._handed.get(place, 0) + 1

    def update(self, rows: Columns) -> None:
        """Take in items as they stand now; those that the pool does not know are left to the next reading."""
        keys = _keys(rows["item_id"])
        known = np.flatnonzero(np.isin(keys, self._ids[self._found(keys)]))
        places = self._found(keys)
        tier, confidence, votes = (rows[name][known] for name in ("tier", "confidence", "votes"))
        with self._lock:
            self._levels.change(places, _level(tier, votes))
            self._weights.change(places, _weight(tier, confidence, votes, self._policy))
            self._gold = np.union1d(self._gold, places[tier == GOLD])

    def set_queue(self, item_ids: Iterable[str]) -> None:
        """The labelling queue, by rank."""
        places = self._places(item_ids)
        with self._lock:
            self._queue = places

    def unlabeled_among(self, item_ids: Any) -> list[str]:
        """Those of some ids (Arrow strings) that are in tier 1 here, each once."""
        places = self._found(np.unique(_keys(item_ids)))
        return [self._text(int(place)) for place in places[self._levels.level[places] != Levels.OUT]]

    def _asked_for(self) -> Iterator[int]:
        """Places of the labelling queue by rank: those that want votes for a first label, then those that
        have enough for one and none yet. What many people did not agree on waits for a review.
        """
        least, most = self._policy.consensus_threshold, self._policy.revalidation_min_total_votes
        for begin, end in ((0, least), (least, most)):
            for start in range(0, len(self._queue), 1_000):
                part = self._queue[start : start + 1_000]
                votes = self._levels.level[part].astype(np.int64)
                fits = (votes >= begin) & (votes < end)
                for place, want in zip(part[fits].tolist(), (end - votes[fits]).tolist(), strict=True):
                    if want > self._handed.get(place, 0):
                        yield place

    def _places(self, item_ids: Iterable[str]) -> Integers:
        return self._found(np.array([bytes.fromhex(key.replace("-", "")) for key in item_ids], dtype="S16"))

    def _found(self, keys: Any) -> Integers:
        """The places of those keys that are there, in the keys' order."""
        places = np.searchsorted(self._ids, keys)
        known = places < len(self._ids)
        known[known] = self._ids[places[known]] == keys[known]
        return np.asarray(places[known], dtype=np.int64)

    def _text(self, place: int) -> str:
        digits = self._ids[place].ljust(16, b"\0").hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_pool(database: Database, dataset: Dataset, most: int | None = None) -> tuple[ServedPool, Marks]:
    """A dataset's pool as it is now, or its first items alone: ids are hashes, so they are a fair sample."""
    with database.look() as connection:
        marks = _marks(connection, dataset)
        policy = current_policy(connection, dataset).policy
    rows: list[Columns] = []
    after, is_whole = LEAST_ID, False
    while not is_whole and (most is None or len(rows) * ITEMS_AT_ONCE < most):
        with database.look() as connection:
            part = rows_after(connection, dataset, after, ITEMS_AT_ONCE)
        found = len(part["item_id"])
        is_whole = found < ITEMS_AT_ONCE
        if found:
            after = part["item_id"][found - 1].as_py()
            rows.append(_packed(part, policy))
    pool = ServedPool(dataset, policy, rows, is_whole=is_whole)
    _read_queue(database, pool)
    return pool, marks


def refresh(database: Database, pool: ServedPool, before: Marks) -> Marks | None:
    """Bring a pool up to what is new since some marks; None where it has to be read anew."""
    dataset = pool.dataset
    with database.look() as connection:
        now = _marks(connection, dataset)
        if now == before:
            return now
        if (now.policy_id, now.retractions) != (before.policy_id, before.retractions):
            return None
        if now.import_id != before.import_id and _has_new_items(connection, pool, before.import_id):
            return None
        touched = _touched(connection, pool, before, now)
        if touched is None:
            return None
        for start in range(0, len(touched), ITEMS_AT_ONCE):
            part = touched[start : start + ITEMS_AT_ONCE]
            chosen: str
            keys: object
            if database.is_sqlite:
                chosen, keys = "i.item_id IN (SELECT value FROM json_each(:keys))", json.dumps(part)
            else:
                chosen, keys = "i.item_id = ANY(CAST(:keys AS uuid[]))", part
            pool.update(read_rows(connection, dataset, chosen, {"keys": keys}))
    if now.selection_id != before.selection_id:
        _read_queue(database, pool)
    return now


def _marks(connection: sa.Connection, dataset: Dataset) -> Marks:
    found = connection.execute(
        sa.text(
            "SELECT (SELECT max(import_id) FROM imports WHERE dataset_id = :dataset) AS import_id,"
            " (SELECT max(selection_id) FROM selections WHERE dataset_id = :dataset) AS selection_id,"
            " (SELECT max(vote_id) FROM votes) AS vote_id"
        ),
        {"dataset": dataset.dataset_id},
    ).one()
    return Marks(
        policy_id=current_policy(connection, dataset).policy_id,
        retractions=retractions(connection, dataset),
        import_id=found.import_id or 0,
        ledger_position=progress_of(connection, dataset).ledger_position,
        vote_id=found.vote_id or 0,
        selection_id=found.selection_id or 0,
    )


def _has_new_items(connection: sa.Connection, pool: ServedPool, import_id: int) -> bool:
    """Whether imports since one brought items, or made some gold."""
    key = {"dataset": pool.dataset.dataset_id, "import": import_id}
    of_items = connection.execute(
        sa.text(
            "SELECT count(*) FROM imports WHERE dataset_id = :dataset AND import_id > :import"
            " AND kind = 'items'"
        ),
        key,
    ).scalar_one()
    if of_items:
        return True
    items = connection.execute(
        sa.text("SELECT count(*) FROM items WHERE dataset_id = :dataset"), {"dataset": key["dataset"]}
    ).scalar_one()
    return bool(items != len(pool))


def _touched(connection: sa.Connection, pool: ServedPool, before: Marks, now: Marks) -> list[str] | None:
    """Ids of the items with new rows of the ledger, and of the unlabeled ones with new votes."""
    applied = read_columns(
        connection,
        "SELECT DISTINCT b.item_id AS item_id FROM batches b JOIN labels l ON l.item_id = b.item_id"
        " WHERE l.dataset_id = :dataset AND b.batch_id > :before AND b.batch_id <= :now"
        f" LIMIT {MOST_TOUCHED}",
        {"dataset": pool.dataset.dataset_id, "before": before.ledger_position, "now": now.ledger_position},
        {"item_id": str},
    )["item_id"]
    voted = read_columns(
        connection,
        "SELECT DISTINCT item_id FROM"
        f" (SELECT item_id FROM votes WHERE vote_id > :after LIMIT {MOST_TOUCHED}) v",
        {"after": before.vote_id - LATE_VOTES if now.vote_id > before.vote_id else now.vote_id},
        {"item_id": str},
    )["item_id"]
    if len(applied) >= MOST_TOUCHED or now.vote_id - before.vote_id >= MOST_TOUCHED:
        return None
    return list({*applied.to_pylist(), *pool.unlabeled_among(voted)})


def _read_queue(database: Database, pool: ServedPool) -> None:
    with database.look() as connection:
        queue = read_columns(
            connection,
            "SELECT item_id FROM labeling_queue WHERE dataset_id = :dataset ORDER BY rank LIMIT 1000000",
            {"dataset": pool.dataset.dataset_id},
            {"item_id": str},
        )
    pool.set_queue(queue["item_id"].to_pylist())


def _keys(item_ids: Any) -> Any:
    """Ids as texts (Arrow strings) in their 16 bytes."""
    texts = item_ids.combine_chunks() if hasattr(item_ids, "combine_chunks") else item_ids
    if not len(texts):
        return np.empty(0, dtype="S16")
    start = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset]
    written = np.frombuffer(texts.buffers()[2], dtype=np.uint8)[start : start + 36 * len(texts)]
    nibbles = _NIBBLE[written.reshape(-1, 36)[:, _HEX]]
    return np.ascontiguousarray(nibbles[:, ::2] << 4 | nibbles[:, 1::2]).view("S16").ravel()


def _packed(part: Columns, policy: Policy) -> Columns:
    """Items as a pool keeps them, in 22 bytes each."""
    return {
        "key": _keys(part["item_id"]),
        "level": _level(part["tier"], part["votes"]),
        "weight": _weight(part["tier"], part["confidence"], part["votes"], policy),
        "is_gold": part["tier"] == GOLD,
    }


def _joined(rows: list[Columns], name: str, kind: Any) -> Any:
    """A column of all parts; each part's goes, so that little is there twice."""
    return np.concatenate([part.pop(name) for part in rows] or [np.empty(0, dtype=kind)])


def _level(tier: Integers, votes: Integers) -> Any:
    return np.where(tier == TIER_1, np.minimum(votes, Levels.OUT - 1), Levels.OUT).astype(np.uint8)


def _weight(tier: Integers, confidence: Integers, votes: Integers, policy: Policy) -> Any:
    return np.where(tier == TIER_2, weights(confidence, votes, policy), 0).astype(np.float32)
