"""What a request gives, as the store can be asked for it."""

import uuid


def clean(text: str) -> str:
    """A text that every database takes: PostgreSQL knows no NUL, and half a surrogate pair is none."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def id_or_none(text: str) -> str | None:
    """An item_id in its one form, None for what is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
