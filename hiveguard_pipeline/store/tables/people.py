"""People: the audit's events, keys and users, workflows, and the tasks in people's hands."""

import sqlalchemy as sa

from hiveguard_pipeline.store.tables.parts import Big, UtcTime, Uuid, key, metadata

audit_events = sa.Table(
    "audit_events",
    metadata,
    key("event_id"),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("sequence", Big, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("previous_sha256", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.UniqueConstraint("chain", "sequence"),
    sqlite_autoincrement=True,
    comment="who did what, when, why, what it replaced: a chain of hashes a dataset, kept by triggers",
)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("sequence", Big, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    comment="the newest event of each chain",
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    key("key_id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("key_sha256", sa.Text, nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id")),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
    sqlite_autoincrement=True,
    comment="keys of the API, as hashes of 256 random bits; dataset_id: the only dataset it is for",
)

users = sa.Table(
    "users",
    metadata,
    key("user_id"),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("disabled_at", UtcTime),
    sqlite_autoincrement=True,
    comment="who signs in to the dashboard; password_hash is argon2id's",
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_sha256", sa.Text, primary_key=True),
    sa.Column("user_id", Big, sa.ForeignKey("users.user_id"), nullable=False, index=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    comment="who is signed in: the hash of the cookie's token",
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("solver_id", sa.Text, primary_key=True),
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("added_by", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    comment="who is an annotator or an expert of a dataset; everybody else is the crowd",
)

workflows = sa.Table(
    "workflows",
    metadata,
    key("workflow_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("stages", sa.JSON, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
    comment="the stages of a dataset, a row a change; without one the documented life cycle holds",
)

item_stages = sa.Table(
    "item_stages",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("workflow_id", Big, sa.ForeignKey("workflows.workflow_id"), nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("entered_at", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Index(None, "dataset_id", "stage", "item_id"),
    sqlite_with_rowid=False,
    comment="items that wait for people in a stage of their workflow",
)

stage_transitions = sa.Table(
    "stage_transitions",
    metadata,
    key("transition_id"),
    sa.Column("item_id", Uuid, nullable=False),
    sa.Column("dataset_id", Uuid, nullable=False),
    sa.Column("workflow_id", Big, nullable=False),
    sa.Column("from_stage", sa.Text),
    sa.Column("to_stage", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("review_id", Big),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index(None, "item_id", "transition_id"),
    sqlite_autoincrement=True,
    comment="the way of items through stages, append-only",
)

leases = sa.Table(
    "leases",
    metadata,
    key("lease_id"),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("solver_id", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("leased_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("ending", sa.Text),
    sa.Index(None, "item_id", "solver_id"),
    sa.Index(None, "dataset_id", "ended_at", "expires_at"),
    sqlite_autoincrement=True,
    comment="tasks in people's hands; ending: answered, returned or expired; shown: how the item stood",
)

stage_answers = sa.Table(
    "stage_answers",
    metadata,
    key("answer_id"),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("workflow_id", Big, sa.ForeignKey("workflows.workflow_id")),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("entered_at", UtcTime, nullable=False),
    sa.Column("solver_id", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("lease_id", Big, sa.ForeignKey("leases.lease_id")),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.UniqueConstraint("item_id", "stage", "entered_at", "solver_id"),
    sqlite_autoincrement=True,
    comment="what people answered in a stage (null: discard it); the outcome is a decision on the item",
)
