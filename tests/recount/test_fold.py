"""The one definition of a recount: each item as a plain reading has it, however the votes are cut."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount import fold as recount_fold
from hiveguard_pipeline.recount.fold import TABLES, VOTES, Stamp, recount
from hiveguard_pipeline.recount.rows import PART, ROWS, VotesToRows
from hiveguard_pipeline.rules.policy import ONE, Policy
from tests.recount.crowd import MOMENT, STAMP, votes_table
from tests.rules.crowds import Stream, crowds, holds, policies
from tests.rules.oracle import Item

START = datetime(2026, 11, 1, tzinfo=UTC)


def item_id(number: int) -> str:
    return f"item-{number:04}"


def vote_id(item: int, place: int) -> int:
    """Votes of many items, interleaved: ids of an item ascend and have gaps."""
    return 1 + place * 1_000 + item


def as_votes(streams: list[Stream]) -> pa.Table:
    votes = [(i, p, answer) for i, stream in enumerate(streams) for p, answer in enumerate(stream)]
    return pa.table(
        [
            pa.array([item_id(i) for i, _, _ in votes], pa.string()),
            pa.array([vote_id(i, p) for i, p, _ in votes], pa.int64()),
            pa.array([f"answer {answer}" for *_, answer in votes], pa.string()),
            pa.array([START + timedelta(seconds=vote_id(i, p)) for i, p, _ in votes], VOTES.field(3).type),
        ],
        schema=VOTES,
    )


def recounted(batches: list[pa.RecordBatch], stamp: Stamp = STAMP) -> dict[str, list[dict[str, Any]]]:
    parts = list(recount(batches, stamp))
    return {name: [row for part in parts for row in getattr(part, name).to_pylist()] for name in TABLES}


def plainly_read(streams: list[Stream], policy: Policy) -> dict[str, list[dict[str, Any]]]:
    """The three tables, one vote at a time."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number, stream in enumerate(streams):
        if not stream:
            continue
        item = Item(policy)
        for place, answer in enumerate(stream):
            item.vote(vote_id(number, place), answer)
        item.apply()
        now, stamped = item.now, {"policy_id": 5, "generation": 1}
        found["states"].append(
            {
                "item_id": item_id(number),
                "state": now.state,
                "votes": len(stream),
                "unprocessed_votes": len(stream) - item.applied,
                "newest_vote_id": vote_id(number, len(stream) - 1),
            }
        )
        found["ledger"] += [
            {
                "item_id": item_id(number),
                "sequence": sequence,
                "kind": row.kind,
                **stamped,
                "first_vote_id": row.first_vote_id,
                "last_vote_id": row.last_vote_id,
                "agree": row.agree,
                "disagree": row.disagree,
                "label": f"answer {row.label}",
                "confidence_before": None if row.confidence_before is None else float(row.confidence_before),
                "confidence_after": float(row.confidence_after or 0),
                "state_after": row.state_after,
                "run_id": "run",
                "applied_at": datetime.fromtimestamp(MOMENT / 10**6, UTC),
            }
            for sequence, row in enumerate(item.rows, start=1)
        ]
        if now.label is not None:
            found["labels"].append(
                {
                    "item_id": item_id(number),
                    "label": f"answer {now.label}",
                    "confidence": float(now.confidence or 0),
                    "state": now.state,
                    "needs_review": now.state == "needs_review",
                    "vote_count": now.vote_count,
                    "revalidation_vote_count": now.revalidation_vote_count,
                    "revalidation_epochs": item.epochs,
                    **stamped,
                    "applied_through": item.applied_through,
                    "created_at": START + timedelta(seconds=item.rows[0].last_vote_id or 0),
                }
            )
    return found


@holds(40, crowds(), policies(), st.integers(1, 60), st.integers(1, 400))
def test_each_item_is_recounted_as_a_plain_reading_has_it_however_the_votes_are_cut(
    streams: list[Stream], policy: Policy, batch: int, at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recount_fold, "VOTES_AT_ONCE", at_once)
        found = recounted(as_votes(streams).to_batches(batch), Stamp(policy, 5, "run", MOMENT))
    assert found == plainly_read(streams, policy)


def test_an_item_of_more_votes_than_are_folded_together_is_folded_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = [[0] * 7, [1] * 500, [0] * 3]
    monkeypatch.setattr(recount_fold, "VOTES_AT_ONCE", 20)
    found = recounted(as_votes(streams).to_batches(9), Stamp(Policy(), 5, "run", MOMENT))
    assert found == plainly_read(streams, Policy())
    assert [row["votes"] for row in found["states"]] == [7, 500, 3]


def test_confidence_comes_back_to_the_very_millionth() -> None:
    for millionths in np.random.default_rng(0).integers(0, ONE + 1, 20_000).tolist():
        assert round(millionths / ONE * ONE) == millionths
        assert float(f"0.{millionths:06}") == millionths / ONE or millionths == ONE


def test_no_votes_are_no_rows() -> None:
    assert recounted([]) == {name: [] for name in TABLES}
    assert recounted(as_votes([]).to_batches()) == {name: [] for name in TABLES}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": pa.array([None, "b"])}, "without answer"),
        ({"item_id": pa.array(["a", None])}, "without item_id"),
        ({"vote_id": pa.array([7, 7])}, "vote 7 comes twice"),
        ({"vote_id": pa.array([8, 7])}, "vote 7 .* after a later vote"),
        ({"item_id": pa.array(["b", "a"])}, "not ordered by item_id"),
    ],
)
def test_votes_that_cannot_be_folded_are_refused(change: dict[str, Any], reason: str) -> None:
    columns = {"item_id": ["a", "a"], "vote_id": [1, 2], "answer": ["x", "x"], "created_at": [START, START]}
    with pytest.raises(BadInputError, match=reason):
        recounted(pa.table(columns | change).cast(VOTES).to_batches())


def test_an_item_that_comes_in_two_places_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount_fold, "VOTES_AT_ONCE", 5)
    votes = as_votes([[0] * 6, [0] * 6])
    again = pa.concat_tables([votes, votes.slice(0, 6)])
    with pytest.raises(BadInputError, match="not ordered by item_id"):
        recounted(again.to_batches(3))


def test_one_stream_of_rows_holds_the_three_tables() -> None:
    votes = votes_table().sort_by([("item_id", "ascending"), ("vote_id", "ascending")])
    parts = recounted(votes.to_batches(700))
    streamed = pa.Table.from_batches(VotesToRows(STAMP)(votes.to_batches(700)), ROWS)
    for name, schema in TABLES.items():
        own = streamed.filter(pa.compute.equal(streamed[PART], name)).select(schema.names)
        assert own.schema == schema
        assert own.to_pylist() == parts[name]
