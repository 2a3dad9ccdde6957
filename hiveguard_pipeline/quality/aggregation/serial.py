"""Arrays and names as bytes, without pickle: what is read back can be data only."""

import io
import json
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hiveguard_pipeline.errors import BadInputError


def pack(arrays: Mapping[str, Any], **said: object) -> bytes:
    """Arrays by name, and what JSON can hold, as an npz file."""
    text = np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez(stream, said=text, **arrays)
    return stream.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `pack` was given: the arrays, and the rest. Raises BadInputError if it is not that."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        return arrays, dict(json.loads(arrays.pop("said").tobytes()))
    except (BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"these bytes are no fit of HiveGuard ({error}): fit again") from None
