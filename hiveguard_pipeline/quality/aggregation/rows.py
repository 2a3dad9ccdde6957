"""Probabilities as rows for files: an item a row, a column a class."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.quality.aggregation.aggregate import Aggregate
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd

PREFIX = "p_"
"""In front of a class in the name of its column, so that a class `label` clashes with nothing."""

ROWS_AT_ONCE = 20_000


def probability_columns(classes: list[str]) -> pa.Schema:
    """external_id, label, probability of the label, and p_<class> for each class."""
    fields = [("external_id", pa.string()), ("label", pa.string()), ("probability", pa.float64())]
    return pa.schema([*fields, *((PREFIX + name, pa.float64()) for name in classes)])


def probability_rows(crowd: Crowd, found: Aggregate) -> Iterator[pa.RecordBatch]:
    """The items with a label, in the crowd's order (item_id), as batches of `probability_columns`."""
    schema = probability_columns(crowd.classes)
    words = pa.array(crowd.classes, type=pa.string())
    labelled = np.flatnonzero(found.label != NO_LABEL)
    for first in range(0, len(labelled), ROWS_AT_ONCE):
        rows = labelled[first : first + ROWS_AT_ONCE]
        label = found.label[rows]
        columns = [crowd.external_ids.take(pa.array(rows)), words.take(pa.array(label))]
        columns.append(pa.array(found.probability[rows, label]))
        columns += [pa.array(column) for column in np.ascontiguousarray(found.probability[rows].T)]
        yield pa.record_batch(columns, schema=schema)
