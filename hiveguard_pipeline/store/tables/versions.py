"""Versions: the classes of a dataset over time, and the label sets that exports were made of."""

import sqlalchemy as sa

from hiveguard_pipeline.store.tables.parts import Big, UtcTime, Uuid, key, metadata

schema_versions = sa.Table(
    "schema_versions",
    metadata,
    key("schema_version_id"),
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
