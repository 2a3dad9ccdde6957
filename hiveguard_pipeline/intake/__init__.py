"""Files of items and votes: read, checked, and taken into the store.

What belongs here: CSV and JSONL (plain or gzip) to columns of text, why a row cannot be taken, and the
imports. What does not: annotation formats.
"""

from hiveguard_pipeline.intake.items import import_items
from hiveguard_pipeline.intake.votes import VoteImport, import_votes

__all__ = ["VoteImport", "import_items", "import_votes"]
