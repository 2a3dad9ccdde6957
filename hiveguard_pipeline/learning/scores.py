"""Scores of a user's own for items: the way in for models of boxes and spans, and for any other judge."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.errors import BadInputError


def given_scores(path: Path, external_ids: dict[str, str], item_ids: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """Scores of a user's own, from a CSV or JSONL file: item_id or external_id, and score (high: ask first).

    external_ids: item_id by external_id of the unlabeled items. Returns the ids of the items of the pool that
    have a score, ascending (Arrow), their scores, and notes. Raises BadInputError with the line.
    """
    scores: dict[str, float] = {}
    known, unknown = set(item_ids.to_pylist()), 0
    for line, row in _rows_of(path):
        name = row.get("item_id")
        item_id = str(name) if name else external_ids.get(str(row.get("external_id")), "")
        try:
            score = float(str(row["score"]))
        except (KeyError, ValueError):
            raise BadInputError(f"{path}, line {line}: no number in `score`") from None
        if not np.isfinite(score) or score < 0:
            raise BadInputError(f"{path}, line {line}: the score {score} is no finite number from 0")
        if item_id in scores:
            raise BadInputError(f"{path}, line {line}: a second score for one item")
        if item_id in known:
            scores[item_id] = score
        else:
            unknown += 1
    chosen = sorted(scores)
    notes = []
    if unknown:
        notes.append(f"{unknown:,} items of {path} are not unlabeled items of the dataset")
    if len(chosen) < len(known):
        notes.append(f"{len(known) - len(chosen):,} unlabeled items have no score and were not looked at")
    array = np.array([scores[item_id] for item_id in chosen], dtype=np.float64)
    return pa.array(chosen, type=pa.string()), array, tuple(notes)


def _rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and row of a CSV file with a header, or of one of JSON objects."""
    import csv
    import json

    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if path.suffix == ".csv":
                reader = csv.DictReader(stream)
                for row in reader:
                    yield reader.line_num, row
                return
            for line, text in enumerate(stream, start=1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise BadInputError(f"{path}, line {line}: no JSON object")
                    yield line, row
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise BadInputError(
            f"{path} is neither CSV (.csv) nor JSONL: {' '.join(str(error).split())}"
        ) from None
