"""A simulated crowd as the three files that a user would have: items, votes and the truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.demo.crowd import KINDS, Crowd
from hiveguard_pipeline.exports.files import open_writer, replacing

_FIRST_VOTE = np.datetime64("2026-01-01T08:00:00.000000")
_BETWEEN_VOTES = np.timedelta64(1_700_000, "us")


def write_crowd(crowd: Crowd, folder: Path) -> dict[str, Path]:
    """Write items.csv, votes.csv and truth.csv; returns their paths by name."""
    scene = crowd.scene
    count = len(crowd.truth)
    external = pa.array([f"{scene.modality}-{number:05d}" for number in range(1, count + 1)])
    solvers = pa.array([f"{KINDS[kind]}-{number:04d}" for number, kind in enumerate(crowd.kind)])
    classes = pa.array(scene.classes)
    times = _FIRST_VOTE + np.arange(len(crowd.item)) * _BETWEEN_VOTES
    refs = pc.binary_join_element_wise("https://example.com/data/", external, f".{scene.suffix}", "")
    files = {
        "items": {
            "external_id": external,
            "data_ref": refs,
            "modality": pa.repeat(pa.scalar(scene.modality), count),
            **({"text": pa.array(_texts(crowd))} if scene.texts else {}),
        },
        "votes": {
            "external_id": external.take(pa.array(crowd.item)),
            "solver_id": solvers.take(pa.array(crowd.solver)),
            "answer": classes.take(pa.array(crowd.answer)),
            "duration_ms": pa.array(crowd.duration_ms),
            "created_at": pc.strftime(pa.array(times, type=pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ"),
        },
        "truth": {"external_id": external, "label": classes.take(pa.array(crowd.truth))},
    }
    return {name: _write(folder / f"{name}.csv", columns) for name, columns in files.items()}


def _texts(crowd: Crowd) -> list[str]:
    """What the items of a scene of texts say: each class's sentences in turn."""
    texts = crowd.scene.texts
    return [texts[code][number % len(texts[code])] for number, code in enumerate(crowd.truth.tolist())]


def _write(path: Path, columns: dict[str, Any]) -> Path:
    table = pa.table(columns)
    with replacing(path) as stream, open_writer("csv", table.schema, stream) as writer:
        for batch in table.to_batches(max_chunksize=65_536):
            writer.write(batch)
    return path
