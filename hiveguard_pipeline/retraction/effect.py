"""What an exclusion or restoration did: labels, states and exported rows before and after."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import STATES, State

_FINALIZED = (STATES[State.IN_REVALIDATION], STATES[State.GRADUATED])
_GRADUATED = (STATES[State.GRADUATED],)

_STANDING = (
    "SELECT t.item_id, l.label, l.confidence, coalesce(l.state, 'unlabeled') AS state,"
    " coalesce(l.vote_count, 0) + coalesce(l.revalidation_vote_count, 0) AS solver_count, l.created_at"
    " FROM {table} t LEFT JOIN labels l ON l.item_id = t.item_id"
)
_BOTH = f"stood_before b JOIN ({_STANDING.format(table='stood_before')}) a ON a.item_id = b.item_id"


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Items, gold ones aside, by what became of their labels: another one, none any more, a first one."""

    changed: int
    withdrawn: int
    gained: int


@dataclass(frozen=True, slots=True)
class StateChange:
    """How many items went from one state to another."""

    before: str
    after: str
    items: int


@dataclass(frozen=True, slots=True)
class ExportChange:
    """Rows of an export: gone, new, and there before and after with another value in a field."""

    lost: int
    gained: int
    changed: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What an exclusion or restoration did, or would do (dry_run).

    votes: the solvers' votes in the dataset; items: those that hold one. recounted: items that began a new
    generation of their ledger. finalized and graduated: rows of `labels export`, without and with
    `--graduated`.
    """

    dataset: str
    solvers: tuple[str, ...]
    dry_run: bool
    votes: int
    items: int
    recounted: int
    labels: LabelChange
    states: tuple[StateChange, ...]
    finalized: ExportChange
    graduated: ExportChange


def note_standing(connection: sa.Connection) -> None:
    """Keep where the items of `touched` stand, in the temporary table `stood_before`."""
    connection.execute(sa.text("DROP TABLE IF EXISTS stood_before"))
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE stood_before AS {_STANDING.format(table='touched')} WHERE t.gold = 0"
        )
    )
    connection.execute(sa.text("CREATE UNIQUE INDEX stood_before_key ON stood_before (item_id)"))
    if connection.dialect.name != "sqlite":
        connection.execute(sa.text("ANALYZE stood_before"))


def label_change(connection: sa.Connection) -> LabelChange:
    """What became of the labels of `stood_before`."""
    row = connection.execute(
        sa.text(
            "SELECT count(CASE WHEN a.label <> b.label THEN 1 END) AS changed,"
            " count(CASE WHEN b.label IS NOT NULL AND a.label IS NULL THEN 1 END) AS withdrawn,"
            f" count(CASE WHEN b.label IS NULL AND a.label IS NOT NULL THEN 1 END) AS gained FROM {_BOTH}"
        )
    ).one()
    return LabelChange(int(row.changed), int(row.withdrawn), int(row.gained))


def state_changes(connection: sa.Connection) -> tuple[StateChange, ...]:
    """The states of `stood_before` that are others now, by name."""
    rows = connection.execute(
        sa.text(
            "SELECT b.state AS before, a.state AS after, count(*) AS items"
            f" FROM {_BOTH} WHERE a.state <> b.state GROUP BY b.state, a.state ORDER BY b.state, a.state"
        )
    )
    return tuple(StateChange(row.before, row.after, int(row.items)) for row in rows)


def export_changes(connection: sa.Connection) -> tuple[ExportChange, ExportChange]:
    """The rows of the finalized labels and of the graduated ones among them."""
    return _export_change(connection, _FINALIZED), _export_change(connection, _GRADUATED)


def _export_change(connection: sa.Connection, states: tuple[str, ...]) -> ExportChange:
    words = ", ".join(f"'{state}'" for state in states)
    was, stands = f"b.state IN ({words})", f"a.state IN ({words})"
    differs = "(a.label <> b.label OR a.confidence <> b.confidence OR a.solver_count <> b.solver_count"
    row = connection.execute(
        sa.text(
            f"SELECT count(CASE WHEN {was} AND NOT {stands} THEN 1 END) AS lost,"
            f" count(CASE WHEN {stands} AND NOT {was} THEN 1 END) AS gained,"
            f" count(CASE WHEN {was} AND {stands} AND {differs} OR a.created_at <> b.created_at) THEN 1 END)"
            f" AS changed FROM {_BOTH}"
        )
    ).one()
    return ExportChange(int(row.lost), int(row.gained), int(row.changed))
