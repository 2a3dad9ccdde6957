"""Whether a key stands twice in one object of a JSON text: parsers keep the last value and say nothing.

Each key of a text has a colon behind it: with as many colons as the values have keys, none was dropped. So
nearly every text is judged by a count, and only where that does not tell is it looked at key by key.
"""

import json
from typing import Any

import orjson

from hiveguard_pipeline.errors import BadInputError


def refuse_equal_keys(text: bytes, value: Any, where: str) -> None:
    """Raise BadInputError, with `where` and the key, if an object of a valid JSON text has a key twice.

    value: what the text was read as.
    """
    if may_have_equal_keys(text, value) and (key := _equal_key(text)) is not None:
        raise BadInputError(f"{where}: the key {json.dumps(key)} stands there twice in one object.")


def may_have_equal_keys(text: bytes, value: Any) -> bool:
    """False where no object of a valid JSON text can have a key twice; value: what it was read as."""
    colons = text.count(b":")
    objects = [value] if type(value) is dict else value if type(value) is list else []
    if set(map(type, objects)) == {dict}:
        found = sum(map(len, objects))
        if found == colons:
            return False
        # Masks of crowds are the objects that entries of COCO usually hold.
        masks = [mask for one in objects if type(mask := one.get("segmentation")) is dict]
        found += sum(map(len, masks))
        # The colon of an address is that of no key: two slashes begin no value.
        if found == colons or (text.find(b"://") >= 0 and found == colons - text.count(b"://")):
            return False
    if b"\\u003" in text:  # an escaped colon could make up for one that was dropped
        return True
    try:
        return orjson.dumps(value).count(b":") != colons
    except TypeError:  # a number that has no place in 64 bits
        return True


def _equal_key(text: bytes) -> str | None:
    """The first key that stands twice in an object of a JSON text, None if there is none."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    json.loads(text, object_pairs_hook=look)
    return found[0] if found else None
