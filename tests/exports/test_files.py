"""Writers: what is missing in a row never takes the row with it."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq  # noqa: TID253
import pytest

from hiveguard_pipeline.exports.files import FORMATS, open_writer

SCHEMA = pa.schema([("name", pa.string()), ("count", pa.int64()), ("confidence", pa.int64())])
ROWS = [
    {"name": "a", "count": 1, "confidence": 850_000},
    {"name": None, "count": None, "confidence": None},
    {"name": 'b"', "count": None, "confidence": 1_000_000},
    {"name": "", "count": 3, "confidence": 0},
]
SHOWN = [row | {"confidence": row["confidence"] and int(str(row["confidence"])) / 1e6} for row in ROWS]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_row_with_nulls_is_written_whole(fmt: str) -> None:
    stream = io.BytesIO()
    with open_writer(fmt, SCHEMA, stream) as writer:
        for rows in (ROWS[:1], ROWS[1:]):
            writer.write(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    data = stream.getvalue()
    if fmt == "csv":
        assert data.decode() == 'name,count,confidence\na,1,0.85\n,,\n"b""",,1.0\n,3,0.0\n'
    elif fmt == "parquet":
        assert pq.read_table(io.BytesIO(data)).to_pylist() == SHOWN
    else:
        text = data.decode()
        read = json.loads(text) if fmt == "json" else [json.loads(line) for line in text.splitlines()]
        assert read == SHOWN
