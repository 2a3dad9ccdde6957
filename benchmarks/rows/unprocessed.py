"""Unprocessed votes to committed labels and ledger, beside bare SQL and beside an ORM loop."""

from benchmarks.bench import Bench, Rows
from benchmarks.places import Place, Store
from benchmarks.processes import in_turn, measure
from benchmarks.report import Goal, Row, median, times
from benchmarks.stores import votes_store
from benchmarks.tools import SQLITE_SETTINGS, missing, seconds_of_statements, tool_of

_LEDGER = (
    "item_id, policy_id, generation, kind, first_vote_id, last_vote_id, agree, disagree, label,"
    " confidence_before, confidence_after, state_after, run_id, applied_at"
)
_LABEL = (
    "dataset_id, label, confidence, state, needs_review, vote_count, revalidation_vote_count,"
    " revalidation_epochs, policy_id, generation, applied_through, created_at, updated_at"
)
_READ = {
    # CROSS JOIN keeps SQLite's loop order: from the items, in order, to their votes by index.
    "SQLite": """.output /dev/null
SELECT v.item_id, v.vote_id, v.answer
FROM items i CROSS JOIN votes v ON v.item_id = i.item_id LEFT JOIN labels l ON l.item_id = i.item_id
WHERE v.vote_id > coalesce(l.applied_through, 0) ORDER BY i.item_id, v.vote_id;
.output stdout""",
    "PostgreSQL": "\\copy (SELECT v.item_id, v.vote_id, v.answer FROM votes v"
    " LEFT JOIN labels l ON l.item_id = v.item_id WHERE v.vote_id > coalesce(l.applied_through, 0)"
    " ORDER BY v.item_id, v.vote_id) to '/dev/null'",
}


def bare_statements(kind: str) -> str:
    """Read the unprocessed votes in order, append ready ledger rows, upsert ready labels, commit."""
    begin = SQLITE_SETTINGS + "BEGIN IMMEDIATE;" if kind == "SQLite" else "BEGIN;"
    updates = ", ".join(f"{name} = excluded.{name}" for name in _LABEL.split(", "))
    return f"""{begin}
{_READ[kind]}
INSERT INTO batches ({_LEDGER}) SELECT {_LEDGER} FROM ready_batches ORDER BY batch_id;
INSERT INTO labels (item_id, {_LABEL}) SELECT item_id, {_LABEL} FROM ready_labels WHERE true
ON CONFLICT (item_id) DO UPDATE SET {updates};
COMMIT;
"""


def apply_rows(bench: Bench) -> Rows:
    """Ours beside the bare statements, on each database."""
    for place in bench.places:
        store = _unprocessed(bench, place)

        def ours(place: Place = place, store: Store = store) -> dict[str, float]:
            return dict(measure("apply_votes", environment=place.copy(store).environment))

        def bare(place: Place = place, store: Store = store) -> tuple[float, float]:
            seconds, done = seconds_of_statements(place.copy(store), bare_statements(place.kind))
            return seconds, done.peak_mb

        tool = tool_of(place.kind)
        mine, theirs = in_turn(bench.rounds, ours, bare if tool else None)
        yield Row(
            "apply",
            f"{bench.sizes.votes:,} unprocessed votes to committed labels and ledger, {place.kind}",
            [entry["seconds"] for entry in mine],
            f"bare statements in {tool}" if tool else missing(place.kind),
            [seconds for seconds, _ in theirs],
            times(1.5),
            ours_mb=[entry["peak_mb"] for entry in mine],
            beside_mb=[peak for _, peak in theirs],
        )


def orm_rows(bench: Bench) -> Rows:
    """Ours beside a row-at-a-time loop over fewer votes, in seconds a vote."""
    for place in bench.places:
        store = _unprocessed(bench, place)

        def ours(place: Place = place, store: Store = store) -> dict[str, float]:
            return dict(measure("apply_votes", environment=place.copy(store).environment))

        def loop(place: Place = place, store: Store = store) -> dict[str, float]:
            environment = place.copy(store).environment
            return dict(measure("orm_loop", str(bench.sizes.orm_votes), environment=environment))

        mine, theirs = in_turn((bench.rounds + 1) // 2, ours, loop)
        taken = median([entry["votes"] for entry in theirs])
        yield Row(
            "orm",
            f"the same for each vote, {place.kind}",
            [entry["seconds"] / entry["read"] for entry in mine],
            f"SQLAlchemy ORM, row at a time, {taken:,.0f} votes",
            [entry["seconds"] / entry["votes"] for entry in theirs],
            Goal("as fast", 50),
            ours_mb=[entry["peak_mb"] for entry in mine],
            beside_mb=[entry["peak_mb"] for entry in theirs],
        )


def _unprocessed(bench: Bench, place: Place) -> Store:
    """Unprocessed votes, and beside them, ready made, the rows that a run writes for them."""

    def make() -> Store:
        store = votes_store(place, bench.sizes.votes, bench.sizes.items)
        measure("apply_votes", environment=store.environment)
        with store.open().write() as connection:
            for statement in (
                "CREATE TABLE ready_batches AS SELECT * FROM batches",
                "CREATE TABLE ready_labels AS SELECT * FROM labels",
            ):
                connection.exec_driver_sql(statement)
            place.empty(connection, "batches", "labels")
            connection.exec_driver_sql(
                "UPDATE dataset_progress SET folded_through = 0, policy_id = NULL, ledger_position = 0"
            )
        place.settle(store)
        return store

    return bench.store(place, "unprocessed votes", make)
