"""Contested items: unlabeled ones with votes enough for a label, which the review queue looks at."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UUID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the table, and note the items that are contested already."""
    op.create_table(
        "contested_items",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_contested_items_item_id"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_contested_items_dataset_id"
        ),
        sa.PrimaryKeyConstraint("item_id", name="pk_contested_items"),
        sqlite_with_rowid=False,
        comment="unlabeled items with votes enough for a label when a run looked at them, and maybe others",
    )
    op.create_index("ix_contested_items_dataset_id", "contested_items", ["dataset_id"])
    op.execute(
        "INSERT INTO contested_items (item_id, dataset_id) SELECT i.item_id, i.dataset_id FROM items i"
        " LEFT JOIN labels l ON l.item_id = i.item_id WHERE l.label IS NULL AND i.gold_label IS NULL"
        " AND (SELECT count(*) FROM votes v WHERE v.item_id = i.item_id) >="
        " (SELECT min(p.consensus_threshold) FROM policies p WHERE p.dataset_id = i.dataset_id)"
    )


def downgrade() -> None:
    """Back to the tables before; what the table says can be found again."""
    op.drop_table("contested_items")
