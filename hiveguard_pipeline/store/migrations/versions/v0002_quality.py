"""Quality: solvers whose votes do not count, calibrated probabilities, adaptive graduation."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UUID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")

COLUMNS: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {
    "policies": {
        "graduation": sa.Text(),
        "adaptive_target_probability": sa.Integer(),
        "adaptive_min_votes": sa.Integer(),
        "adaptive_max_votes": sa.Integer(),
    },
    "labels": {"probability": sa.Integer()},
    "batches": {"probability": sa.Integer(), "calibration_id": BIG},
}

ACTIVE_EXCLUSIONS = """
        SELECT e.exclusion_id, e.solver_id, e.dataset_id, e.reason, e.actor, e.created_at
        FROM exclusions e
        WHERE e.undone_by IS NULL
          AND NOT EXISTS (SELECT 1 FROM exclusions u WHERE u.undone_by = e.exclusion_id)
    """

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
            ) AS excluded
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
               ) AS unprocessed,
               (SELECT count(*) FROM quarantined_votes q WHERE q.dataset_id = d.dataset_id) AS quarantined,
               CASE WHEN EXISTS (SELECT 1 FROM active_exclusions a WHERE a.dataset_id = d.dataset_id) THEN
                   (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                    WHERE i.dataset_id = d.dataset_id)
                   - (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                      WHERE i.dataset_id = d.dataset_id
                        AND NOT EXISTS (SELECT 1 FROM active_exclusions e
                                        WHERE e.dataset_id = d.dataset_id AND e.solver_id = v.solver_id))
               ELSE 0 END AS excluded
        FROM datasets d
    """

VOTE_STATUS_BEFORE = """
        SELECT v.vote_id, v.item_id, v.solver_id, v.answer, v.duration_ms, v.created_at,
               v.vote_id <= coalesce(l.applied_through, 0) AS processed,
               CASE WHEN v.vote_id <= l.applied_through THEN (
                   SELECT max(b.batch_id) FROM batches b
                   WHERE b.item_id = v.item_id AND b.generation = l.generation
                     AND b.first_vote_id <= v.vote_id AND b.last_vote_id >= v.vote_id
               ) END AS batch_id
        FROM votes v LEFT JOIN labels l ON l.item_id = v.item_id
    """


def upgrade() -> None:
    """Make the views, and what they look exclusions up by."""
    op.create_index("ix_exclusions_undone_by", "exclusions", ["undone_by"])
    op.create_index("ix_exclusions_dataset_id_solver_id", "exclusions", ["dataset_id", "solver_id"])
    op.execute("DROP VIEW vote_status")
    for name, query in (
        ("active_exclusions", ACTIVE_EXCLUSIONS),
        ("vote_status", VOTE_STATUS),
        ("vote_counts", VOTE_COUNTS),
    ):
        op.execute(f"CREATE VIEW {name} AS {query}")
    for table, columns in COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind, nullable=True))
    op.execute(
        "UPDATE policies SET graduation = 'documented', adaptive_target_probability = 950000,"
        " adaptive_min_votes = 5, adaptive_max_votes = 30"
    )
    op.create_table(
        "calibrations",
        sa.Column("calibration_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("horizon", BIG, nullable=False),
        sa.Column("votes", BIG, nullable=False),
        sa.Column("solvers", BIG, nullable=False),
        sa.Column("gold_items", BIG, nullable=False),
        sa.Column("calibration_error", sa.Integer(), nullable=True),
        sa.Column("brier_score", sa.Integer(), nullable=True),
        sa.Column("fit", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_calibrations_dataset_id"),
        sa.PrimaryKeyConstraint("calibration_id", name="pk_calibrations"),
        sqlite_autoincrement=True,
        comment="what solvers and probabilities rest on: a fit to the votes up to horizon; never changed",
    )
    op.create_index("ix_calibrations_dataset_id", "calibrations", ["dataset_id"])


def downgrade() -> None:
    """Back to the first tables."""
    op.drop_table("calibrations")
    for table, columns in COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
    for name in ("vote_counts", "vote_status", "active_exclusions"):
        op.execute(f"DROP VIEW {name}")
    op.execute(f"CREATE VIEW vote_status AS {VOTE_STATUS_BEFORE}")
    for name in ("ix_exclusions_dataset_id_solver_id", "ix_exclusions_undone_by"):
        op.drop_index(name, "exclusions")
