"""Review: the items that people must decide, and what they decided."""

from hiveguard_pipeline.review.decisions import checked_label, correct, decide, decide_on, undo
from hiveguard_pipeline.review.outcome import Decision
from hiveguard_pipeline.review.queue import Flagged, QueueHead, list_flagged, queue_head, queue_length
from hiveguard_pipeline.review.token import standing_token, standing_tokens

__all__ = [
    "Decision",
    "Flagged",
    "QueueHead",
    "checked_label",
    "correct",
    "decide",
    "decide_on",
    "list_flagged",
    "queue_head",
    "queue_length",
    "standing_token",
    "standing_tokens",
    "undo",
]
