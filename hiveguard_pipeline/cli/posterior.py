"""What `hiveguard quality posterior` prints: an item a row, a column a class."""

import csv
import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hiveguard_pipeline.cli.shared import emit, say
from hiveguard_pipeline.exports.files import open_writer
from hiveguard_pipeline.quality.aggregation import Aggregate, probability_columns, probability_rows
from hiveguard_pipeline.store.crowd import Crowd

if TYPE_CHECKING:
    import pyarrow as pa


def print_posterior(crowd: Crowd, found: Aggregate, fmt: str) -> None:
    """Write the rows to stdout; what else there is to know, to stderr."""
    schema, batches = probability_columns(crowd.classes), probability_rows(crowd, found)
    if fmt == "table":
        emit((row for batch in batches for row in batch.to_pylist()), schema.names, fmt)
    else:
        _stream(schema, batches, fmt)
    if not found.converged:
        say(f"not converged after {found.iterations} iterations: probabilities still move (--iterations)")
    left_out = len(found.label) - int((found.label >= 0).sum())
    if left_out:
        say(f"{left_out:,} items left out: they have no votes")


def _stream(schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]", fmt: str) -> None:
    """A batch of rows at a time, in columns."""
    if fmt == "csv":  # a class may be named with a comma or a quote
        schema = schema.empty_table().rename_columns([_quoted(name) for name in schema.names]).schema
    with open_writer(fmt, schema, sys.stdout.buffer) as writer:
        for batch in batches:
            writer.write(batch.rename_columns(schema.names))
    sys.stdout.buffer.flush()


def _quoted(name: str) -> str:
    cell = io.StringIO()
    csv.writer(cell, lineterminator="\r\n").writerow([name])  # quotes a name that holds either
    return cell.getvalue().removesuffix("\r\n")
