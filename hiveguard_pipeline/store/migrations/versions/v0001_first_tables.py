"""The first tables: datasets, items, votes, policies, labels, the ledger, reviews, imports."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UUID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")

VOTE_STATUS = """
        SELECT v.vote_id, v.item_id, v.solver_id, v.answer, v.duration_ms, v.created_at,
               v.vote_id <= coalesce(l.applied_through, 0) AS processed,
               CASE WHEN v.vote_id <= l.applied_through THEN (
                   SELECT max(b.batch_id) FROM batches b
                   WHERE b.item_id = v.item_id AND b.generation = l.generation
                     AND b.first_vote_id <= v.vote_id AND b.last_vote_id >= v.vote_id
               ) END AS batch_id
        FROM votes v LEFT JOIN labels l ON l.item_id = v.item_id
    """

ITEM_STATUS = """
        SELECT i.item_id, i.dataset_id, i.external_id, i.data_ref, i.modality, i.gold_label,
               CASE WHEN i.gold_label IS NULL THEN coalesce(l.state, 'unlabeled') ELSE 'gold' END
                   AS state,
               l.label, l.confidence, coalesce(l.vote_count, 0) AS vote_count,
               coalesce(l.revalidation_vote_count, 0) AS revalidation_vote_count,
               coalesce(l.revalidation_epochs, 0) AS revalidation_epochs, l.policy_id,
               coalesce(l.generation, 1) AS generation,
               coalesce(l.applied_through, 0) AS applied_through,
               l.created_at AS labelled_at, l.updated_at
        FROM items i LEFT JOIN labels l ON l.item_id = i.item_id
    """

FINALIZED_LABELS = """
        SELECT i.item_id, i.dataset_id, i.external_id, i.data_ref, i.modality, l.label, l.confidence,
               l.vote_count + l.revalidation_vote_count AS solver_count, l.created_at, l.state,
               l.needs_review, l.policy_id, i.gold_label
        FROM labels l JOIN items i ON i.item_id = l.item_id
        WHERE l.state IN ('in_revalidation', 'graduated')
    """


def upgrade() -> None:
    """Make the tables and views."""
    sqlite = op.get_context().dialect.name == "sqlite"
    now = sa.text("(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))" if sqlite else "now()")
    op.create_table(
        "batches",
        sa.Column("batch_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("policy_id", BIG, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_vote_id", BIG, nullable=True),
        sa.Column("last_vote_id", BIG, nullable=True),
        sa.Column("agree", sa.Integer(), nullable=False),
        sa.Column("disagree", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("confidence_before", sa.Integer(), nullable=True),
        sa.Column("confidence_after", sa.Integer(), nullable=True),
        sa.Column("state_after", sa.Text(), nullable=False),
        sa.Column("review_id", BIG, nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("applied_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name="pk_batches"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batches_item_id_batch_id", "batches", ["item_id", "batch_id"], unique=False)
    op.create_table(
        "datasets",
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("task_type", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", name="pk_datasets"),
        sa.UniqueConstraint("name", name="uq_datasets_name"),
    )
    op.create_table(
        "dataset_progress",
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("folded_through", BIG, nullable=False),
        sa.Column("policy_id", BIG, nullable=True),
        sa.Column("ledger_position", BIG, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_dataset_progress_dataset_id"
        ),
        sa.PrimaryKeyConstraint("dataset_id", name="pk_dataset_progress"),
        comment="how far runs have read: every vote at or below folded_through was looked at under policy_id",
    )
    op.create_table(
        "exclusions",
        sa.Column("exclusion_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("solver_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("undone_by", BIG, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_exclusions_dataset_id"),
        sa.ForeignKeyConstraint(["undone_by"], ["exclusions.exclusion_id"], name="fk_exclusions_undone_by"),
        sa.PrimaryKeyConstraint("exclusion_id", name="pk_exclusions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_exclusions_dataset_id", "exclusions", ["dataset_id"], unique=False)
    op.create_table(
        "imports",
        sa.Column("import_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("rows_read", BIG, nullable=False),
        sa.Column("accepted", BIG, nullable=False),
        sa.Column("quarantined", BIG, nullable=False),
        sa.Column("already_known", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_imports_dataset_id"),
        sa.PrimaryKeyConstraint("import_id", name="pk_imports"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_imports_dataset_id", "imports", ["dataset_id"], unique=False)
    op.create_table(
        "items",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("data_ref", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("gold_label", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_items_dataset_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_items"),
        sa.UniqueConstraint("dataset_id", "external_id", name="uq_items_dataset_id_external_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_items_dataset_id_item_id", "items", ["dataset_id", "item_id"], unique=False)
    op.create_table(
        "policies",
        sa.Column("policy_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("consensus_threshold", sa.Integer(), nullable=False),
        sa.Column("revalidation_min_total_votes", sa.Integer(), nullable=False),
        sa.Column("revalidation_exit_confidence", sa.Integer(), nullable=False),
        sa.Column("revalidation_confidence_threshold", sa.Integer(), nullable=False),
        sa.Column("revalidation_delta", sa.Integer(), nullable=False),
        sa.Column("revalidation_min_votes", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_policies_dataset_id"),
        sa.PrimaryKeyConstraint("policy_id", name="pk_policies"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_policies_dataset_id", "policies", ["dataset_id"], unique=False)
    op.create_table(
        "labels",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("needs_review", sa.Boolean(), nullable=False),
        sa.Column("vote_count", sa.Integer(), nullable=False),
        sa.Column("revalidation_vote_count", sa.Integer(), nullable=False),
        sa.Column("revalidation_epochs", sa.Integer(), nullable=False),
        sa.Column("policy_id", BIG, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("applied_through", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_labels_dataset_id"),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_labels_item_id"),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.policy_id"], name="fk_labels_policy_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_labels"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_labels_dataset_id", "labels", ["dataset_id"], unique=False)
    op.create_table(
        "quarantined_votes",
        sa.Column("quarantine_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("import_id", BIG, nullable=False),
        sa.Column("line", BIG, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),
        sa.Column("fingerprint", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_quarantined_votes_dataset_id"
        ),
        sa.ForeignKeyConstraint(["import_id"], ["imports.import_id"], name="fk_quarantined_votes_import_id"),
        sa.PrimaryKeyConstraint("quarantine_id", name="pk_quarantined_votes"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_quarantined_votes_dataset_id_fingerprint",
        "quarantined_votes",
        ["dataset_id", "fingerprint"],
        unique=False,
    )
    op.create_table(
        "recheck_items",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_recheck_items_dataset_id"),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_recheck_items_item_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_recheck_items"),
        comment="items whose waiting votes a review released; the next run takes them up",
    )
    op.create_index("ix_recheck_items_dataset_id", "recheck_items", ["dataset_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("review_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("undoes", BIG, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_reviews_item_id"),
        sa.ForeignKeyConstraint(["undoes"], ["reviews.review_id"], name="fk_reviews_undoes"),
        sa.PrimaryKeyConstraint("review_id", name="pk_reviews"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reviews_item_id", "reviews", ["item_id"], unique=False)
    op.create_table(
        "votes",
        sa.Column("vote_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("solver_id", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("duration_ms", BIG, nullable=True),
        sa.Column("created_at", TIME, server_default=now, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_votes_item_id"),
        sa.PrimaryKeyConstraint("vote_id", name="pk_votes"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_votes_item_id_solver_id", "votes", ["item_id", "solver_id"], unique=True)
    for name, query in (
        ("vote_status", VOTE_STATUS),
        ("item_status", ITEM_STATUS),
        ("finalized_labels", FINALIZED_LABELS),
    ):
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    """There is nothing before the first revision: drop the database instead."""
    raise RuntimeError("revision 0001 is the first: to go back before it, drop the database")
