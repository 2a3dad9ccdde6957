"""Versions: schema versions, snapshots, label revisions, and what training formats need of items."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UUID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")

LABEL_REVISIONS = """
        SELECT b.item_id, i.dataset_id, b.batch_id,
               row_number() OVER (PARTITION BY b.item_id ORDER BY b.batch_id) AS revision,
               b.generation, b.label, b.confidence_after AS confidence, b.state_after AS state,
               coalesce(r.decision, 'votes') AS source, r.reviewer AS actor, r.reason,
               b.policy_id, b.run_id, (
                   SELECT max(s.version) FROM schema_versions s
                   WHERE s.dataset_id = i.dataset_id AND s.ledger_position < b.batch_id
               ) AS schema_version, b.applied_at AS created_at
        FROM batches b JOIN items i ON i.item_id = b.item_id
        LEFT JOIN reviews r ON r.review_id = b.review_id
        WHERE b.kind <> 'revalidation'
    """


def upgrade() -> None:
    """Make the tables; the classes that datasets have now are their first schema version."""
    op.add_column("datasets", sa.Column("export_settings", sa.JSON(), nullable=True))
    op.create_table(
        "item_details",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("licence", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_item_details_item_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_item_details"),
        sqlite_with_rowid=False,
        comment=("what training formats need of an item: pixels, the text, what it is split by, its licence"),
    )
    op.create_table(
        "schema_versions",
        sa.Column("schema_version_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("task_type", sa.Text(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=True),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("class_map", sa.JSON(), nullable=True),
        sa.Column("ledger_position", BIG, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_schema_versions_dataset_id"
        ),
        sa.PrimaryKeyConstraint("schema_version_id", name="pk_schema_versions"),
        sa.UniqueConstraint("dataset_id", "version", name="uq_schema_versions_dataset_id_version"),
        sqlite_autoincrement=True,
        comment="the classes of a dataset, a row a change; ledger rows above ledger_position are under it",
    )
    op.execute(
        "INSERT INTO schema_versions (dataset_id, version, task_type, classes, change, ledger_position,"
        " actor, reason, created_at) SELECT dataset_id, 1, task_type, classes, 'created', 0, 'upgrade',"
        " 'the classes that the dataset had', created_at FROM datasets"
    )
    for table in ("calibrations", "dataset_progress"):
        op.add_column(table, sa.Column("schema_version", sa.Integer(), nullable=True))
    op.create_table(
        "class_map",
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_class_map_dataset_id"),
        sa.PrimaryKeyConstraint("dataset_id", "answer", name="pk_class_map"),
        comment="answers that name a class of an earlier schema version, and the class that they mean now",
    )
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("policy_id", BIG, nullable=False),
        sa.Column("ledger_position", BIG, nullable=False),
        sa.Column("rows", BIG, nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("removed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_snapshots_dataset_id"),
        sa.ForeignKeyConstraint(["parent"], ["snapshots.snapshot_id"], name="fk_snapshots_parent"),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.policy_id"], name="fk_snapshots_policy_id"),
        sa.PrimaryKeyConstraint("snapshot_id", name="pk_snapshots"),
        comment="label sets that exports were made of; snapshot_id is the hash of header and rows",
    )
    op.create_index("ix_snapshots_dataset_id_created_at", "snapshots", ["dataset_id", "created_at"])
    op.execute(f"CREATE VIEW label_revisions AS {LABEL_REVISIONS}")


def downgrade() -> None:
    """Back to the tables before; the versions are lost."""
    op.execute("DROP VIEW label_revisions")
    for name in ("snapshots", "class_map", "schema_versions", "item_details"):
        op.drop_table(name)
    for table in ("calibrations", "dataset_progress"):
        op.drop_column(table, "schema_version")
    op.drop_column("datasets", "export_settings")
