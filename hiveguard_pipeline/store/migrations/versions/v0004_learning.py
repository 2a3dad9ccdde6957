"""Active learning: models, proposals, what to ask next, Label Studio; and single votes taken back."""

import sqlalchemy as sa
from alembic import op

from hiveguard_pipeline.store.migrations.versions import v0002_quality as quality

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UUID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")

VOTE_STATUS = """
        SELECT v.vote_id, v.item_id, v.solver_id, v.answer, v.duration_ms, v.created_at, v.excluded,
               v.vote_id <= coalesce(l.applied_through, 0) AND NOT v.excluded AS processed,
               CASE WHEN v.vote_id <= l.applied_through AND NOT v.excluded THEN (
                   SELECT max(b.batch_id) FROM batches b
                   WHERE b.item_id = v.item_id AND b.generation = l.generation
                     AND b.first_vote_id <= v.vote_id AND b.last_vote_id >= v.vote_id
               ) END AS batch_id
        FROM (
            SELECT w.vote_id, w.item_id, w.solver_id, w.answer, w.duration_ms, w.created_at, EXISTS (
                SELECT 1 FROM active_exclusions e JOIN items i ON i.dataset_id = e.dataset_id
                WHERE i.item_id = w.item_id AND e.solver_id = w.solver_id
            ) OR EXISTS (SELECT 1 FROM withdrawals x WHERE x.vote_id = w.vote_id) AS excluded
            FROM votes w
        ) v LEFT JOIN labels l ON l.item_id = v.item_id
    """

VOTE_COUNTS = """
        SELECT d.dataset_id,
               (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                WHERE i.dataset_id = d.dataset_id)
               + (SELECT count(*) FROM quarantined_votes q WHERE q.dataset_id = d.dataset_id) AS received,
               (SELECT coalesce(sum(l.vote_count + l.revalidation_vote_count), 0) FROM labels l
                WHERE l.dataset_id = d.dataset_id) AS applied,
               (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                LEFT JOIN labels l ON l.item_id = v.item_id
                WHERE i.dataset_id = d.dataset_id AND v.vote_id > coalesce(l.applied_through, 0)
                  AND NOT EXISTS (SELECT 1 FROM active_exclusions e
                                  WHERE e.dataset_id = d.dataset_id AND e.solver_id = v.solver_id)
                  AND NOT EXISTS (SELECT 1 FROM withdrawals x WHERE x.vote_id = v.vote_id)
               ) AS unprocessed,
               (SELECT count(*) FROM quarantined_votes q WHERE q.dataset_id = d.dataset_id) AS quarantined,
               CASE WHEN EXISTS (SELECT 1 FROM active_exclusions a WHERE a.dataset_id = d.dataset_id)
                      OR EXISTS (SELECT 1 FROM withdrawals x WHERE x.dataset_id = d.dataset_id) THEN
                   (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                    WHERE i.dataset_id = d.dataset_id)
                   - (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                      WHERE i.dataset_id = d.dataset_id
                        AND NOT EXISTS (SELECT 1 FROM active_exclusions e
                                        WHERE e.dataset_id = d.dataset_id AND e.solver_id = v.solver_id)
                        AND NOT EXISTS (SELECT 1 FROM withdrawals x WHERE x.vote_id = v.vote_id))
               ELSE 0 END AS excluded
        FROM datasets d
    """


def upgrade() -> None:
    """Make the tables; votes that were taken back count no longer in the views."""
    op.add_column("datasets", sa.Column("active_settings", sa.JSON(), nullable=True))
    op.create_table(
        "withdrawals",
        sa.Column("vote_id", BIG, autoincrement=False, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["vote_id"], ["votes.vote_id"], name="fk_withdrawals_vote_id"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_withdrawals_dataset_id"),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_withdrawals_item_id"),
        sa.PrimaryKeyConstraint("vote_id", name="pk_withdrawals"),
        comment="single votes that no longer count: their answer was changed or deleted where it was given",
    )
    op.create_index("ix_withdrawals_dataset_id", "withdrawals", ["dataset_id"])
    op.create_table(
        "models",
        sa.Column("model_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("ledger_position", BIG, nullable=False),
        sa.Column("labels_used", BIG, nullable=False),
        sa.Column("held_out", BIG, nullable=False),
        sa.Column("accuracy", sa.Integer(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_models_dataset_id"),
        sa.PrimaryKeyConstraint("model_id", name="pk_models"),
        sqlite_autoincrement=True,
        comment="models that propose labels and choose what to ask: trained here, or a user's; never changed",
    )
    op.create_index("ix_models_dataset_id", "models", ["dataset_id"])
    op.create_table(
        "prelabels",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("model_id", BIG, nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("probability", sa.Integer(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_prelabels_item_id"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_prelabels_dataset_id"),
        sa.ForeignKeyConstraint(["model_id"], ["models.model_id"], name="fk_prelabels_model_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_prelabels"),
        sqlite_with_rowid=False,
        comment="what a model proposes for an item: never a vote; blind ones are kept and shown to nobody",
    )
    op.create_index("ix_prelabels_dataset_id", "prelabels", ["dataset_id"])
    op.create_table(
        "selections",
        sa.Column("selection_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("pool_size", BIG, nullable=False),
        sa.Column("labelled", BIG, nullable=False),
        sa.Column("model_id", BIG, nullable=True),
        sa.Column("seed", BIG, nullable=False),
        sa.Column("uncertainty_mean", sa.Integer(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_selections_dataset_id"),
        sa.ForeignKeyConstraint(["model_id"], ["models.model_id"], name="fk_selections_model_id"),
        sa.PrimaryKeyConstraint("selection_id", name="pk_selections"),
        sqlite_autoincrement=True,
        comment="queries of active learning: how items were chosen, by which model, out of how many",
    )
    op.create_index("ix_selections_dataset_id", "selections", ["dataset_id"])
    op.create_table(
        "labeling_queue",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("selection_id", BIG, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_labeling_queue_item_id"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_labeling_queue_dataset_id"),
        sa.ForeignKeyConstraint(
            ["selection_id"], ["selections.selection_id"], name="fk_labeling_queue_selection_id"
        ),
        sa.PrimaryKeyConstraint("item_id", name="pk_labeling_queue"),
        sqlite_with_rowid=False,
        comment="what to ask next: the items of each dataset's newest selection, rank 1 first",
    )
    op.create_index("ix_labeling_queue_dataset_id_rank", "labeling_queue", ["dataset_id", "rank"])
    op.create_table(
        "label_studio_projects",
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("project_id", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_label_studio_projects_dataset_id"
        ),
        sa.PrimaryKeyConstraint("dataset_id", name="pk_label_studio_projects"),
    )
    op.create_table(
        "label_studio_tasks",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("model_id", BIG, nullable=True),
        sa.Column("proposal", sa.Text(), nullable=True),
        sa.Column("probability", sa.Integer(), nullable=True),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("pushed_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_label_studio_tasks_item_id"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_label_studio_tasks_dataset_id"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.model_id"], name="fk_label_studio_tasks_model_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_label_studio_tasks"),
        sqlite_with_rowid=False,
        comment="items that a Label Studio project holds, and what was proposed to those who answer",
    )
    op.create_index("ix_label_studio_tasks_dataset_id", "label_studio_tasks", ["dataset_id"])
    op.create_table(
        "label_studio_annotations",
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("annotation_id", BIG, autoincrement=False, nullable=False),
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("solver_id", sa.Text(), nullable=False),
        sa.Column("vote_id", BIG, nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("proposal", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("seen_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_label_studio_annotations_dataset_id"
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_label_studio_annotations_item_id"),
        sa.ForeignKeyConstraint(["vote_id"], ["votes.vote_id"], name="fk_label_studio_annotations_vote_id"),
        sa.PrimaryKeyConstraint("dataset_id", "annotation_id", name="pk_label_studio_annotations"),
        comment="annotations as they were last seen, and what became of them; updated_at is the server's own",
    )
    _make_views(VOTE_STATUS, VOTE_COUNTS)


def downgrade() -> None:
    """Back to the tables before; votes that were taken back count again."""
    _make_views(quality.VOTE_STATUS, quality.VOTE_COUNTS)
    for name in (
        "label_studio_annotations",
        "label_studio_tasks",
        "label_studio_projects",
        "labeling_queue",
        "selections",
        "prelabels",
        "models",
        "withdrawals",
    ):
        op.drop_table(name)
    op.drop_column("datasets", "active_settings")


def _make_views(vote_status: str, vote_counts: str) -> None:
    for name, query in (("vote_status", vote_status), ("vote_counts", vote_counts)):
        op.execute(f"DROP VIEW {name}")
        op.execute(f"CREATE VIEW {name} AS {query}")
