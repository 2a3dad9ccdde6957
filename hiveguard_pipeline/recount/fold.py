"""Votes in columns to labels, ledger and states in columns: what every engine of a recount runs.

An item begins as unlabeled and all its votes are folded under one policy. Nothing here knows where the
votes came from or where the rows go; it runs on executors that have Python, numpy and pyarrow alone, and
scipy where answers are structured.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Folded, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.rules.states import KINDS, STATES, Kind, State
from hiveguard_pipeline.rules.structured.judge import StructuredJudge
from hiveguard_pipeline.rules.structured.tasks import STRUCTURED_TASKS
from hiveguard_pipeline.store.class_map import NO_CLASS_MAP, ClassMap

VOTES_AT_ONCE = 500_000
"""Votes that are folded together; bounds the memory of an executor."""

_TIME = pa.timestamp("us", tz="UTC")

VOTES = pa.schema(
    [("item_id", pa.string()), ("vote_id", pa.int64()), ("answer", pa.string()), ("created_at", _TIME)]
)
"""What goes in: each item's votes together, in vote_id order."""

LABELS = pa.schema(
    [
        ("item_id", pa.string()),
        ("label", pa.string()),
        ("confidence", pa.float64()),
        ("state", pa.string()),
        ("needs_review", pa.bool_()),
        ("vote_count", pa.int64()),
        ("revalidation_vote_count", pa.int64()),
        ("revalidation_epochs", pa.int64()),
        ("policy_id", pa.int64()),
        ("generation", pa.int64()),
        ("applied_through", pa.int64()),
        ("created_at", _TIME),
    ]
)
"""One row an item that has a label. created_at: the time of the vote that completed the first pass."""

LEDGER = pa.schema(
    [
        ("item_id", pa.string()),
        ("sequence", pa.int64()),
        ("kind", pa.string()),
        ("policy_id", pa.int64()),
        ("generation", pa.int64()),
        ("first_vote_id", pa.int64()),
        ("last_vote_id", pa.int64()),
        ("agree", pa.int64()),
        ("disagree", pa.int64()),
        ("label", pa.string()),
        ("confidence_before", pa.float64()),
        ("confidence_after", pa.float64()),
        ("state_after", pa.string()),
        ("run_id", pa.string()),
        ("applied_at", _TIME),
    ]
)
"""One row a batch, numbered 1, 2, ... within its item; confidence_before is null at the first pass."""

ITEM_STATES = pa.schema(
    [
        ("item_id", pa.string()),
        ("state", pa.string()),
        ("votes", pa.int64()),
        ("unprocessed_votes", pa.int64()),
        ("newest_vote_id", pa.int64()),
    ]
)
"""One row an item that has votes, the unlabeled ones too."""

TABLES = {"labels": LABELS, "ledger": LEDGER, "states": ITEM_STATES}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every row of a recount says of it. policy_id is None where no dataset recorded the policy.

    applied_at is in microseconds since 1970, UTC. task_type: of the dataset, which says what agreeing with
    a label means; None: being the same answer. class_map: what answers mean now.
    """

    policy: Policy
    policy_id: int | None
    run_id: str
    applied_at: int
    task_type: str | None = None
    class_map: ClassMap = NO_CLASS_MAP


@dataclass(frozen=True, slots=True)
class Recounted:
    """The rows of some items, each a batch of the schema of that name in TABLES."""

    labels: pa.RecordBatch
    ledger: pa.RecordBatch
    states: pa.RecordBatch


def recount(batches: Iterable[pa.RecordBatch], stamp: Stamp) -> Iterator[Recounted]:
    """Fold votes that come in batches of any size; an item may begin in one and end in another.

    Raises BadInputError for votes that are not grouped by item and ordered by vote_id.
    """
    held: list[pa.RecordBatch] = []
    rows, wanted = 0, VOTES_AT_ONCE
    newest = _LastItem()
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        rows += batch.num_rows
        if rows < wanted:
            continue
        votes = _together(held)
        whole = _begin_of_last_item(votes)
        if whole:
            complete = votes.slice(0, whole)
            newest.check(complete)
            yield recount_whole_items(complete, stamp)
        held = [votes.slice(whole)]
        rows = held[0].num_rows
        wanted = rows + VOTES_AT_ONCE
    if rows:
        votes = _together(held)
        newest.check(votes)
        yield recount_whole_items(votes, stamp)


def recount_whole_items(votes: pa.RecordBatch, stamp: Stamp) -> Recounted:
    """Fold votes of VOTES (item_id may be dictionary-encoded) that hold every vote of each of their items."""
    for name in ("item_id", "vote_id", "answer"):
        if votes.column(name).null_count:
            raise BadInputError(f"the votes hold rows without {name}")
    vote_ids = votes.column("vote_id").to_numpy()
    begins = _begins(votes.column("item_id"))
    in_order = vote_ids[1:] > vote_ids[:-1]
    in_order[begins[1:] - 1] = True
    if not in_order.all():
        raise BadInputError(
            f"vote {int(vote_ids[1:][~in_order][0])} comes twice, or after a later vote on its item"
        )
    answers = stamp.class_map.of(votes.column("answer")).dictionary_encode()
    given = answers.indices.to_numpy().astype(np.int32, copy=False)
    offsets = np.append(begins, len(vote_ids)).astype(np.int64)
    words = answers.dictionary
    kind = STRUCTURED_TASKS.get(stamp.task_type or "")
    judge = StructuredJudge(words.to_pylist(), kind) if kind else None
    folded = fold(Votes(offsets, given, judge), Items.unlabeled(len(begins)), stamp.policy)
    if judge is not None:
        words = pa.array(judge.texts, type=pa.string())
    item_ids = pc.cast(votes.column("item_id").take(pa.array(begins)), pa.string())
    part = _Part(item_ids, vote_ids, offsets, words, folded, stamp)
    return Recounted(_labels(part, votes.column("created_at")), _ledger(part), _states(part))


@dataclass(slots=True)
class _Part:
    item_ids: Any
    vote_ids: Any
    offsets: Any
    answers: Any
    folded: Folded
    stamp: Stamp


def _labels(part: _Part, times: Any) -> pa.RecordBatch:
    after, ledger = part.folded.items, part.folded.ledger
    items = np.flatnonzero(after.label != NO_LABEL)
    completed = ledger.last[ledger.kind == Kind.FIRST_PASS]
    state, rows = after.state[items], len(items)
    return _batch(
        LABELS,
        item_id=part.item_ids.take(pa.array(items)),
        label=part.answers.take(pa.array(after.label[items])),
        confidence=after.confidence[items] / ONE,
        state=_words(STATES, state),
        needs_review=state == State.NEEDS_REVIEW,
        vote_count=after.vote_count[items],
        revalidation_vote_count=after.revalidation_vote_count[items],
        revalidation_epochs=state == State.GRADUATED,
        policy_id=_repeated(part.stamp.policy_id, rows),
        generation=_repeated(1, rows),
        applied_through=part.vote_ids[part.offsets[items] + part.folded.applied[items] - 1],
        created_at=times.take(pa.array(completed)),
    )


def _ledger(part: _Part) -> pa.RecordBatch:
    ledger, stamp = part.folded.ledger, part.stamp
    rows, item = len(ledger), ledger.item
    before = ledger.confidence_before
    opens = np.flatnonzero(np.append(True, item[1:] != item[:-1])[:rows])
    sizes = np.diff(np.append(opens, rows))
    return _batch(
        LEDGER,
        item_id=part.item_ids.take(pa.array(item)),
        sequence=np.arange(1, rows + 1) - np.repeat(opens, sizes),
        kind=_words(KINDS, ledger.kind),
        policy_id=_repeated(stamp.policy_id, rows),
        generation=_repeated(1, rows),
        first_vote_id=part.vote_ids[ledger.first],
        last_vote_id=part.vote_ids[ledger.last],
        agree=ledger.agree,
        disagree=ledger.disagree,
        label=part.answers.take(pa.array(ledger.label)),
        confidence_before=pa.array(before / ONE, mask=before == NO_CONFIDENCE),
        confidence_after=ledger.confidence_after / ONE,
        state_after=_words(STATES, ledger.state_after),
        run_id=pa.repeat(pa.scalar(stamp.run_id), rows),
        applied_at=_repeated(stamp.applied_at, rows),
    )


def _states(part: _Part) -> pa.RecordBatch:
    counts = np.diff(part.offsets)
    return _batch(
        ITEM_STATES,
        item_id=part.item_ids,
        state=_words(STATES, part.folded.items.state),
        votes=counts,
        unprocessed_votes=counts - part.folded.applied,
        newest_vote_id=part.vote_ids[part.offsets[1:] - 1],
    )


def _batch(schema: pa.Schema, **columns: Any) -> pa.RecordBatch:
    arrays = [pc.cast(pa.array(columns[field.name]), field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def _repeated(number: int | None, rows: int) -> Any:
    return pa.repeat(pa.scalar(number, type=pa.int64()), rows)


def _words(words: tuple[str, ...], codes: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes, type=pa.int8()), pa.array(words)).cast(pa.string())


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches([batch.select(VOTES.names) for batch in batches])
    return table.combine_chunks().to_batches(max_chunksize=None)[0]


def _begins(item_ids: Any) -> Any:
    """Where each item's votes begin; int64, shape (items,)."""
    if pa.types.is_dictionary(item_ids.type):
        item_ids = item_ids.indices
    differs = pc.not_equal(item_ids[1:], item_ids[:-1]).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.append(True, differs)[: len(item_ids)])


def _begin_of_last_item(votes: pa.RecordBatch) -> int:
    return int(_begins(votes.column("item_id"))[-1])


class _LastItem:
    """Holds that items come in ascending order, so that none can come in two parts."""

    def __init__(self) -> None:
        self._item: str | None = None

    def check(self, votes: pa.RecordBatch) -> None:
        items = votes.column("item_id")
        first, last = items[0].as_py(), items[-1].as_py()
        begins = items.take(pa.array(_begins(items)))
        ascending = pc.all(pc.greater(begins[1:], begins[:-1]), min_count=0).as_py()
        if not ascending or (self._item is not None and first <= self._item):
            raise BadInputError("the votes are not ordered by item_id")
        self._item = last
