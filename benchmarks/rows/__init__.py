"""The rows of the table, one module a piece of work; the order in which they are measured."""

from benchmarks.bench import RowMaker
from benchmarks.rows import (
    active,
    aggregation,
    exports,
    formats,
    history,
    imports,
    real_votes,
    recount,
    sensor,
    serve,
    snapshots,
    start,
    state_machine,
    unprocessed,
)

ROWS: dict[str, RowMaker] = {
    "start": start.rows,
    "state_machine": state_machine.rows,
    "aggregation": aggregation.rows,
    "calibration": real_votes.calibration_rows,
    "replayed": real_votes.replayed_rows,
    "active": active.label_rows,
    "selection": active.speed_rows,
    "apply": unprocessed.apply_rows,
    "orm": unprocessed.orm_rows,
    "import": imports.rows,
    "export": exports.tool_rows,
    "export_memory": exports.memory_rows,
    "formats": formats.rows,
    "snapshots": snapshots.rows,
    "batch": history.batch_rows,
    "tick": history.tick_rows,
    "recount": recount.rows,
    "third_vote": sensor.third_vote_rows,
    "arrivals": sensor.arrival_rows,
    "post": serve.post_rows,
    "next_items": serve.next_rows,
    "served_export": serve.served_export_rows,
}
