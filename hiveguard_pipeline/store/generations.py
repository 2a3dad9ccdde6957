"""New generations: items counted again because other votes count now, or another decision stands.

An item's new generation opens with the newest decision on it that stands, which takes the votes it was
taken on as far as they count; without one it begins blank. Then the votes that follow are folded under the
current policy, as a run does. What waits for people in a stage of a workflow is held again. The old
generation stays in the ledger.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Integers, share
from hiveguard_pipeline.rules.states import KINDS, STATES, Kind, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.contested import note_worked
from hiveguard_pipeline.store.datasets import (
    Dataset,
    RecordedPolicy,
    current_policy,
    now_text,
    progress_of,
)
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.ledger import Applied, record_position, upsert_labels, write_part
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.settlement import settle_chosen
from hiveguard_pipeline.store.stages import hold_waiting
from hiveguard_pipeline.store.standing import APPLIED_THROUGH, newest_standing, opened_through
from hiveguard_pipeline.store.structured import agreeing
from hiveguard_pipeline.store.work import drop_work, fill_work, fold_work, item_of

_ANEW = "(SELECT item_id FROM touched WHERE anew = 1)"
_STANDING = (
    "SELECT t.item_id, r.review_id, r.decision, r.label, l.generation,"
    f" {APPLIED_THROUGH} AS applied_through"
    " FROM touched t JOIN labels l ON l.item_id = t.item_id"
    f" JOIN reviews r ON r.review_id = {newest_standing('t.item_id')} WHERE t.anew = 1"
)
_STANDING_COLUMNS: dict[str, type] = {
    "item_id": str,
    "review_id": int,
    "decision": str,
    "label": str,
    "generation": int,
}
# A decision that was undone gave its votes back, but its row still counts them.
_IN_LEDGER = (
    "coalesce((SELECT max(b.last_vote_id) FROM batches b WHERE b.item_id = i.item_id"
    " AND b.generation = l.generation), 0)"
)
# An item became gold with some votes applied: those are counted again, and none that came after.
_APPLIED_EVER = (
    "coalesce((SELECT max(b.last_vote_id) FROM batches b WHERE b.item_id = i.item_id AND NOT EXISTS"
    " (SELECT 1 FROM reviews u WHERE u.item_id = b.item_id AND u.undoes = b.review_id)), 0)"
)


def gather_touched(
    connection: sa.Connection, dataset: Dataset, chosen: str, parameters: dict[str, Any], horizon: int
) -> None:
    """Fill the temporary table `touched` with items whose votes count otherwise now.

    chosen: SQL for rows of item_id and vote_id, the first vote that makes the difference. anew: rows of the
    generation took votes as late as this one, or the decision that opened it would have, so that the item
    wants a new one. through: the newest vote to look at.
    Gold items are among them only if they want a new generation.
    """
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(sa.text("DROP TABLE IF EXISTS touched"))
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE touched (item_id {'TEXT' if sqlite else 'uuid'} PRIMARY KEY,"
            " anew int NOT NULL, gold int NOT NULL, through bigint NOT NULL)"
        )
    )
    connection.execute(
        sa.text(
            "INSERT INTO touched SELECT item_id, anew, gold, through FROM (SELECT i.item_id,"
            f" CASE WHEN c.vote_id <= {_IN_LEDGER}"
            f" OR c.vote_id <= {opened_through('i.item_id', 'l.generation')} THEN 1 ELSE 0 END AS anew,"
            " CASE WHEN i.gold_label IS NULL THEN 0 ELSE 1 END AS gold,"
            f" CASE WHEN i.gold_label IS NOT NULL THEN {_APPLIED_EVER}"
            " WHEN l.applied_through > :horizon THEN l.applied_through ELSE :horizon END AS through,"
            f" c.vote_id FROM ({chosen}) c {item_of(connection, 'c')}"
            " LEFT JOIN labels l ON l.item_id = i.item_id WHERE i.dataset_id = :dataset) found"
            " WHERE anew = 1 OR (gold = 0 AND vote_id <= through)"
        ),
        parameters | {"dataset": dataset.dataset_id, "horizon": horizon},
    )
    if not sqlite:
        connection.execute(sa.text("ANALYZE touched"))


def recount_touched(connection: sa.Connection, dataset: Dataset, run_id: str) -> Applied:
    """Begin the new generations of `touched`, and fold what all its items take; drops the table."""
    recorded = current_policy(connection, dataset)
    moment = now_text()
    _begin_blank(connection, recorded, moment)
    _open_with_decisions(connection, dataset, recorded, run_id, moment)
    count = fill_work(
        connection,
        "t.through",
        "touched t JOIN items i ON i.item_id = t.item_id LEFT JOIN labels l ON l.item_id = i.item_id"
        " WHERE true",
        {},
    )
    done = Applied(policy_id=recorded.policy_id, items_read=count)
    for part in fold_work(connection, dataset, count, recorded):
        write_part(connection, dataset, recorded, part, run_id, done)
    note_worked(connection, dataset.dataset_id, recorded.policy)
    drop_work(connection)
    if recorded.policy.is_adaptive:
        # As in the night: nothing goes to a person that all its votes settle.
        settle_chosen(
            connection,
            dataset,
            recorded,
            "t.through",
            "touched t JOIN items i ON i.item_id = t.item_id JOIN labels l ON l.item_id = i.item_id"
            " WHERE t.gold = 0",
            {},
            run_id,
            done,
        )
    hold_waiting(connection, dataset, recorded, run_id=run_id, among="SELECT item_id FROM touched")
    connection.execute(
        sa.text(
            f"UPDATE labels SET state = '{STATES[State.GOLD]}', needs_review = false"
            " WHERE item_id IN (SELECT item_id FROM touched WHERE gold = 1)"
        )
    )
    done.ledger_position = record_position(
        connection, dataset, progress_of(connection, dataset).ledger_position
    )
    connection.execute(sa.text("DROP TABLE touched"))
    return done


def _begin_blank(connection: sa.Connection, recorded: RecordedPolicy, moment: str) -> None:
    connection.execute(
        t.labels.update()
        .where(sa.text(f"item_id IN {_ANEW}"))
        .values(
            label=None,
            confidence=None,
            probability=None,
            state=STATES[State.UNLABELED],
            needs_review=False,
            vote_count=0,
            revalidation_vote_count=0,
            revalidation_epochs=0,
            policy_id=recorded.policy_id,
            generation=t.labels.c.generation + 1,
            applied_through=0,
            created_at=None,
            updated_at=moment,
        )
    )


def _open_with_decisions(
    connection: sa.Connection, dataset: Dataset, recorded: RecordedPolicy, run_id: str, moment: str
) -> None:
    """The first rows of new generations of items on which a decision stands, and their labels."""
    opened = read_columns(
        connection,
        f"SELECT {', '.join(_STANDING_COLUMNS)} FROM ({_STANDING}) s ORDER BY s.item_id",
        {},
        _STANDING_COLUMNS,
    )
    rows = len(opened["review_id"])
    if not rows:
        return
    opened["label"] = class_map_of(connection, dataset).of(opened["label"])
    applied, agree, first, last = _counted_on(connection, dataset, opened["label"])
    floor = recorded.policy.revalidation_confidence_threshold
    reached = np.maximum(share(agree, np.maximum(applied, 1)), floor)
    unlabeled = opened["label"].is_null().to_numpy(zero_copy_only=False)
    discarded = pc.equal(opened["decision"], "discard").to_numpy(zero_copy_only=False)
    shared = {
        "item_id": opened["item_id"],
        "label": opened["label"],
        "policy_id": np.full(rows, recorded.policy_id),
        "generation": opened["generation"],
    }
    confidence = pa.array(reached, mask=unlabeled)
    accepted = pc.equal(opened["decision"], "accept").to_numpy(zero_copy_only=False)
    state = np.where(accepted, STATES[State.GRADUATED], STATES[State.IN_REVALIDATION])
    state = pa.array(np.where(discarded, STATES[State.DISCARDED], state))
    append(
        connection,
        "batches",
        {
            **shared,
            "kind": _constant(KINDS[Kind.REVIEW], rows),
            "first_vote_id": pa.array(first, mask=applied == 0),
            "last_vote_id": pa.array(last, mask=applied == 0),
            "agree": agree,
            "disagree": applied - agree,
            "confidence_after": confidence,
            "state_after": state,
            "review_id": opened["review_id"],
            "run_id": _constant(run_id, rows),
            "applied_at": _constant(moment, rows),
        },
    )
    none = np.zeros(rows, dtype=np.int64)
    upsert_labels(
        connection,
        dataset,
        {
            **shared,
            "confidence": confidence,
            "state": state,
            "vote_count": applied,
            "revalidation_vote_count": none,
            "revalidation_epochs": none,
            "applied_through": last,
            "completed_by": last,
            "updated_at": _constant(moment, rows),
        },
    )
    # No vote of theirs counts: the label is as old as the decision.
    connection.execute(
        sa.text(
            "UPDATE labels SET created_at = (SELECT r.created_at FROM batches b JOIN reviews r"
            " ON r.review_id = b.review_id WHERE b.item_id = labels.item_id"
            " AND b.generation = labels.generation)"
            f" WHERE created_at IS NULL AND label IS NOT NULL AND item_id IN {_ANEW}"
        )
    )


def _counted_on(connection: sa.Connection, dataset: Dataset, labels: Any) -> tuple[Integers, ...]:
    """Of the votes that each standing decision was taken on: how many count and agree, the first and last id.

    labels: of the decisions, by item_id. Ids are 0 where no vote counts.
    """
    only = counted(connection, dataset)
    numbered = f"(SELECT x.*, row_number() OVER (ORDER BY x.item_id) - 1 AS n FROM ({_STANDING}) x)"
    votes = read_columns(
        connection,
        f"SELECT s.n, v.vote_id, v.answer FROM {numbered} s JOIN votes v ON v.item_id = s.item_id"
        f" AND v.vote_id <= s.applied_through{only} ORDER BY s.n, v.vote_id",
        {"dataset": dataset.dataset_id} if only else {},
        {"n": int, "vote_id": int, "answer": str},
    )
    answers = class_map_of(connection, dataset).of(votes["answer"])
    item, ids = votes["n"], np.append(votes["vote_id"], 0)
    agrees = agreeing(dataset, answers, labels.take(pa.array(item)))
    applied = np.bincount(item, minlength=len(labels)).astype(np.int64)
    agree = np.bincount(item[agrees], minlength=len(labels)).astype(np.int64)
    ends = np.cumsum(applied)
    first, last = (np.where(applied > 0, ids[place], 0) for place in (ends - applied, ends - 1))
    return applied, agree, first, last


def _constant(text: str, rows: int) -> Any:
    return pa.repeat(pa.scalar(text), rows)
