"""The newest decision that stands on an item, and how far the votes went that it was taken on.

A new generation of an item's ledger opens with that decision. The row of a decision in the generation in
which it was taken says how far the votes had been applied then; later generations only restate it. Holds and
releases of a workflow are none: they say nothing of the label.
"""

NOT_ON_LABEL = ("undo", "hold", "release")
"""Decisions that say nothing of an item's label."""

_NONE = ", ".join(f"'{decision}'" for decision in NOT_ON_LABEL)

_UNDONE = "EXISTS (SELECT 1 FROM reviews u WHERE u.item_id = {item} AND u.undoes = {review}{when})"

APPLIED_THROUGH = (
    "coalesce((SELECT coalesce(o.last_vote_id, (SELECT max(p.last_vote_id) FROM batches p"
    " WHERE p.item_id = o.item_id AND p.generation = o.generation AND p.batch_id < o.batch_id"
    f" AND NOT {_UNDONE.format(item='p.item_id', review='p.review_id', when='')}))"
    " FROM batches o WHERE o.item_id = r.item_id AND o.review_id = r.review_id"
    " ORDER BY o.batch_id LIMIT 1), 0)"
)
"""SQL: the newest vote that counted as processed just after review r; 0 if none did."""


def opened_through(item: str, generation: str) -> str:
    """SQL for how far the votes went of the decision that opened a generation above 1; 0 without one."""
    undone = _UNDONE.format(item="r.item_id", review="r.review_id", when="")
    return (
        f"coalesce((SELECT {APPLIED_THROUGH} FROM reviews r WHERE {generation} > 1 AND r.review_id ="
        f" (SELECT b.review_id FROM batches b WHERE b.item_id = {item} AND b.generation = {generation}"
        f" ORDER BY b.batch_id LIMIT 1) AND NOT {undone}), 0)"
    )


def newest_standing(item: str, generation: str | None = None) -> str:
    """SQL for the review_id of an item's newest decision that is not undone; null without one.

    item, generation: SQL for what is asked about; with a generation, as things stood when it began.
    """
    before = "" if generation is None else f" AND {_written_before(generation, 'n')}"
    when = "" if generation is None else f" AND {_written_before(generation, 'u')}"
    undone = _UNDONE.format(item="n.item_id", review="n.review_id", when=when)
    return (
        f"(SELECT max(n.review_id) FROM reviews n WHERE n.item_id = {item}"
        f" AND n.decision NOT IN ({_NONE}){before} AND NOT {undone})"
    )


def _written_before(generation: str, review: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM batches x WHERE x.item_id = {review}.item_id"
        f" AND x.review_id = {review}.review_id AND x.generation < {generation})"
    )
