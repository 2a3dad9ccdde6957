"""The tables, as the newest migration leaves them. What each is for stands in the design, section 3.

Confidence is held in integer millionths. Times are UTC: `timestamptz` on PostgreSQL, the text
`2026-11-20T12:00:00.000000Z` on SQLite. item_id is a native uuid on PostgreSQL, its dashed text on SQLite.
Items and labels lie in item_id order on SQLite (WITHOUT ROWID): what reads many of them goes through both
side by side. A vote is found by its item through the unique index alone: each further index would cost
every vote that comes in.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

ITEM_NAMESPACE = uuid.UUID("6f1d9c1e-52f5-5d0e-9c6b-8d6a2f0d8a35")
"""Fixed for ever: item ids are uuid5 of this over dataset name, NUL, external id."""


class UtcTime(sa.TypeDecorator[str]):
    """A time as the text that is written everywhere: `2026-11-20T12:00:00.000000Z`."""

    impl = sa.TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Text on SQLite, timestamptz elsewhere."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.TIMESTAMP(timezone=True))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Whatever the driver gives, as text."""
        return time_text(value) if isinstance(value, datetime) else value


def time_text(moment: datetime) -> str:
    """A time in UTC as it is written; a naive one is UTC already."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def full_time(connection: sa.Connection, column: str) -> str:
    """SQL for a time in its full form: a challenge server may have written SQLite's own form of one."""
    if connection.dialect.name != "sqlite":
        return column
    return (
        f"CASE WHEN {column} LIKE '____-__-__T__:__:__.______Z' THEN {column}"
        f" ELSE strftime('%Y-%m-%dT%H:%M:%f000Z', {column}) END"
    )


def written_time(connection: sa.Connection, column: str) -> str:
    """SQL for a time as the text that is written everywhere."""
    if connection.dialect.name == "sqlite":
        return full_time(connection, column)
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def item_uuid(dataset_name: str, external_id: str) -> str:
    """The item_id of an external id in a dataset; the same on every machine."""
    return item_uuids(dataset_name, [external_id])[0]


def item_uuids(dataset_name: str, external_ids: list[str]) -> list[str]:
    """`item_uuid` of many: RFC 9562's version 5, as `uuid.uuid5` has it, without an object for each."""
    start = ITEM_NAMESPACE.bytes + dataset_name.encode() + b"\0"
    ids = []
    for external_id in external_ids:
        digits = hashlib.sha1(start + external_id.encode(), usedforsecurity=False).hexdigest()
        variant = "89ab"[int(digits[16], 16) & 3]
        ids.append(f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}")
    return ids


class CurrentTime(sa.sql.functions.FunctionElement[str]):
    """The database's clock, for rows that the challenge server writes without a time."""

    inherit_cache = True


@compiles(CurrentTime)
def _current_time(element: CurrentTime, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return "now()"


@compiles(CurrentTime, "sqlite")
def _current_time_sqlite(element: CurrentTime, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return "(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))"


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Uuid = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, Big, sa.Identity(always=False, cache=1), primary_key=True)


datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("dataset_id", Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("task_type", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("classes", sa.JSON),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("export_settings", sa.JSON),
    sa.Column("active_settings", sa.JSON),
)

items = sa.Table(
    "items",
    metadata,
    sa.Column("item_id", Uuid, primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("external_id", sa.Text, nullable=False),
    sa.Column("data_ref", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("gold_label", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.UniqueConstraint("dataset_id", "external_id"),
    sa.Index(None, "dataset_id", "item_id"),
    sqlite_with_rowid=False,
)

item_details = sa.Table(
    "item_details",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("content", sa.Text),
    sa.Column("group_key", sa.Text),
    sa.Column("licence", sa.Text),
    sqlite_with_rowid=False,
    comment="what training formats need of an item: pixels, the text, what it is split by, its licence",
)

votes = sa.Table(
    "votes",
    metadata,
    _key("vote_id"),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("solver_id", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("duration_ms", Big),
    sa.Column("created_at", UtcTime, nullable=False, server_default=CurrentTime()),
    # An index and no constraint: a large import into SQLite builds it anew.
    sa.Index("uq_votes_item_id_solver_id", "item_id", "solver_id", unique=True),
    sqlite_autoincrement=True,
)

policies = sa.Table(
    "policies",
    metadata,
    _key("policy_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("consensus_threshold", sa.Integer, nullable=False),
    sa.Column("revalidation_min_total_votes", sa.Integer, nullable=False),
    sa.Column("revalidation_exit_confidence", sa.Integer, nullable=False),
    sa.Column("revalidation_confidence_threshold", sa.Integer, nullable=False),
    sa.Column("revalidation_delta", sa.Integer, nullable=False),
    sa.Column("revalidation_min_votes", sa.Integer, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    # Nullable, since SQLite adds no other column to rows that are there; never null.
    sa.Column("graduation", sa.Text),
    sa.Column("adaptive_target_probability", sa.Integer),
    sa.Column("adaptive_min_votes", sa.Integer),
    sa.Column("adaptive_max_votes", sa.Integer),
    sqlite_autoincrement=True,
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("label", sa.Text),
    sa.Column("confidence", sa.Integer),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("needs_review", sa.Boolean, nullable=False),
    sa.Column("vote_count", sa.Integer, nullable=False),
    sa.Column("revalidation_vote_count", sa.Integer, nullable=False),
    sa.Column("revalidation_epochs", sa.Integer, nullable=False),
    sa.Column("policy_id", Big, sa.ForeignKey("policies.policy_id"), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("applied_through", Big, nullable=False),
    sa.Column("created_at", UtcTime),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("probability", sa.Integer),
    # Nothing that a batch changes is in an index.
    sa.Index(None, "dataset_id"),
    sqlite_with_rowid=False,
)

reviews = sa.Table(
    "reviews",
    metadata,
    _key("review_id"),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False, index=True),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("label", sa.Text),
    sa.Column("reviewer", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("undoes", Big, sa.ForeignKey("reviews.review_id")),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)

# No foreign keys here: a run writes hundreds of thousands of rows in one statement, all of them from
# items that it has read and locked in the same transaction.
batches = sa.Table(
    "batches",
    metadata,
    _key("batch_id"),
    sa.Column("item_id", Uuid, nullable=False),
    sa.Column("policy_id", Big, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("first_vote_id", Big),
    sa.Column("last_vote_id", Big),
    sa.Column("agree", sa.Integer, nullable=False),
    sa.Column("disagree", sa.Integer, nullable=False),
    sa.Column("label", sa.Text),
    sa.Column("confidence_before", sa.Integer),
    sa.Column("confidence_after", sa.Integer),
    sa.Column("state_after", sa.Text, nullable=False),
    sa.Column("review_id", Big),
    sa.Column("run_id", sa.Text),
    sa.Column("applied_at", UtcTime, nullable=False),
    sa.Column("probability", sa.Integer),
    sa.Column("calibration_id", Big),
    sa.Index(None, "item_id", "batch_id"),
    sqlite_autoincrement=True,
)

imports = sa.Table(
    "imports",
    metadata,
    _key("import_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("file_sha256", sa.Text, nullable=False),
    sa.Column("rows_read", Big, nullable=False),
    sa.Column("accepted", Big, nullable=False),
    sa.Column("quarantined", Big, nullable=False),
    sa.Column("already_known", Big, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)

quarantined_votes = sa.Table(
    "quarantined_votes",
    metadata,
    _key("quarantine_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("import_id", Big, sa.ForeignKey("imports.import_id"), nullable=False),
    sa.Column("line", Big, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("row", sa.Text, nullable=False),
    sa.Column("fingerprint", Big, nullable=False),
    sa.Index(None, "dataset_id", "fingerprint"),
    sqlite_autoincrement=True,
)

exclusions = sa.Table(
    "exclusions",
    metadata,
    _key("exclusion_id"),
    sa.Column("solver_id", sa.Text, nullable=False),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("undone_by", Big, sa.ForeignKey("exclusions.exclusion_id"), index=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index(None, "dataset_id", "solver_id"),
    sqlite_autoincrement=True,
)

withdrawals = sa.Table(
    "withdrawals",
    metadata,
    sa.Column("vote_id", Big, sa.ForeignKey("votes.vote_id"), primary_key=True, autoincrement=False),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    comment="single votes that no longer count: their answer was changed or deleted where it was given",
)

calibrations = sa.Table(
    "calibrations",
    metadata,
    _key("calibration_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("horizon", Big, nullable=False),
    sa.Column("votes", Big, nullable=False),
    sa.Column("solvers", Big, nullable=False),
    sa.Column("gold_items", Big, nullable=False),
    sa.Column("calibration_error", sa.Integer),
    sa.Column("brier_score", sa.Integer),
    sa.Column("fit", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    # Nullable, since SQLite adds no other column to rows that are there; null is the first version.
    sa.Column("schema_version", sa.Integer),
    sqlite_autoincrement=True,
    comment="what solvers and probabilities rest on: a fit to the votes up to horizon; never changed",
)

dataset_progress = sa.Table(
    "dataset_progress",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("folded_through", Big, nullable=False),
    sa.Column("policy_id", Big),
    sa.Column("ledger_position", Big, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    # Nullable, since SQLite adds no other column to rows that are there; null is the first version.
    sa.Column("schema_version", sa.Integer),
    comment="how far runs have read: every vote at or below folded_through was looked at under policy_id",
)

recheck_items = sa.Table(
    "recheck_items",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    comment="items whose waiting votes a review released; the next run takes them up",
)

schema_versions = sa.Table(
    "schema_versions",
    metadata,
    _key("schema_version_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("task_type", sa.Text, nullable=False),
    sa.Column("classes", sa.JSON),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("class_map", sa.JSON),
    sa.Column("ledger_position", Big, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.UniqueConstraint("dataset_id", "version"),
    sqlite_autoincrement=True,
    comment="the classes of a dataset, a row a change; ledger rows above ledger_position are under it",
)

class_map = sa.Table(
    "class_map",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("answer", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    comment="answers that name a class of an earlier schema version, and the class that they mean now",
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("snapshot_id", sa.Text, primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("parent", sa.Text, sa.ForeignKey("snapshots.snapshot_id")),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("policy_id", Big, sa.ForeignKey("policies.policy_id"), nullable=False),
    sa.Column("ledger_position", Big, nullable=False),
    sa.Column("rows", Big, nullable=False),
    sa.Column("header", sa.JSON, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("file_sha256", sa.Text, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("removed_at", UtcTime),
    sa.Index(None, "dataset_id", "created_at"),
    comment="label sets that exports were made of; snapshot_id is the hash of header and rows",
)

models = sa.Table(
    "models",
    metadata,
    _key("model_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("file_sha256", sa.Text, nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("ledger_position", Big, nullable=False),
    sa.Column("labels_used", Big, nullable=False),
    sa.Column("held_out", Big, nullable=False),
    sa.Column("accuracy", sa.Integer),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
    comment="models that propose labels and choose what to ask: trained here, or a user's; never changed",
)

prelabels = sa.Table(
    "prelabels",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("model_id", Big, sa.ForeignKey("models.model_id"), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("probability", sa.Integer, nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_with_rowid=False,
    comment="what a model proposes for an item: never a vote; blind ones are kept and shown to nobody",
)

selections = sa.Table(
    "selections",
    metadata,
    _key("selection_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("pool_size", Big, nullable=False),
    sa.Column("labelled", Big, nullable=False),
    sa.Column("model_id", Big, sa.ForeignKey("models.model_id")),
    sa.Column("seed", Big, nullable=False),
    sa.Column("uncertainty_mean", sa.Integer),
    sa.Column("notes", sa.JSON, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
    comment="queries of active learning: how items were chosen, by which model, out of how many",
)

labeling_queue = sa.Table(
    "labeling_queue",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("selection_id", Big, sa.ForeignKey("selections.selection_id"), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Index(None, "dataset_id", "rank"),
    sqlite_with_rowid=False,
    comment="what to ask next: the items of each dataset's newest selection, rank 1 first",
)

label_studio_projects = sa.Table(
    "label_studio_projects",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("project_id", Big, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

label_studio_tasks = sa.Table(
    "label_studio_tasks",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("task_id", Big, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("model_id", Big, sa.ForeignKey("models.model_id")),
    sa.Column("proposal", sa.Text),
    sa.Column("probability", sa.Integer),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("pushed_at", UtcTime, nullable=False),
    sqlite_with_rowid=False,
    comment="items that a Label Studio project holds, and what was proposed to those who answer",
)

label_studio_annotations = sa.Table(
    "label_studio_annotations",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("annotation_id", Big, primary_key=True, autoincrement=False),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("solver_id", sa.Text, nullable=False),
    sa.Column("vote_id", Big, sa.ForeignKey("votes.vote_id")),
    sa.Column("answer", sa.Text),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("deleted_at", UtcTime),
    sa.Column("seen_at", UtcTime, nullable=False),
    comment="annotations that became votes, as they were last seen; updated_at is the server's own",
)
