"""Quality: solvers whose votes do not count."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ACTIVE_EXCLUSIONS = """
        SELECT e.exclusion_id, e.solver_id, e.dataset_id, e.reason, e.actor, e.created_at
        FROM exclusions e
        WHERE e.undone_by IS NULL
          AND NOT EXISTS (SELECT 1 FROM exclusions u WHERE u.undone_by = e.exclusion_id)
    """


def upgrade() -> None:
    """Make the view."""
    op.execute(f"CREATE VIEW active_exclusions AS {ACTIVE_EXCLUSIONS}")


def downgrade() -> None:
    """Back to the first tables."""
    op.execute("DROP VIEW active_exclusions")
