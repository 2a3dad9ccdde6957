"""People: the audit's chain of events, keys, users, workflows and the tasks in people's hands."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UUID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")

REFUSAL = "rows of audit_events are never changed nor deleted"


def upgrade() -> None:
    """Make the tables, and the triggers that keep the events as they are."""
    op.create_table(
        "audit_events",
        sa.Column("event_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("previous_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_audit_events"),
        sa.UniqueConstraint("chain", "sequence", name="uq_audit_events_chain_sequence"),
        sqlite_autoincrement=True,
        comment="who did what, when, why, what it replaced: a chain of hashes a dataset, kept by triggers",
    )
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name="pk_audit_heads"),
        comment="the newest event of each chain",
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_sha256", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("dataset_id", UUID, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_api_keys_dataset_id"),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("key_sha256", name="uq_api_keys_key_sha256"),
        sqlite_autoincrement=True,
        comment="keys of the API, as hashes of 256 random bits; dataset_id: the only dataset it is for",
    )
    op.create_table(
        "users",
        sa.Column("user_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sqlite_autoincrement=True,
        comment="who signs in to the dashboard; password_hash is argon2id's",
    )
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_sessions"),
        comment="who is signed in: the hash of the cookie's token",
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "people",
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("solver_id", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_people_dataset_id"),
        sa.PrimaryKeyConstraint("dataset_id", "solver_id", "group_name", name="pk_people"),
        comment="who is an annotator or an expert of a dataset; everybody else is the crowd",
    )
    op.create_table(
        "workflows",
        sa.Column("workflow_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_workflows_dataset_id"),
        sa.PrimaryKeyConstraint("workflow_id", name="pk_workflows"),
        sqlite_autoincrement=True,
        comment="the stages of a dataset, a row a change; without one the documented life cycle holds",
    )
    op.create_index("ix_workflows_dataset_id", "workflows", ["dataset_id"])
    op.create_table(
        "item_stages",
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("workflow_id", BIG, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("entered_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_item_stages_item_id"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_item_stages_dataset_id"),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.workflow_id"], name="fk_item_stages_workflow_id"
        ),
        sa.PrimaryKeyConstraint("item_id", name="pk_item_stages"),
        sqlite_with_rowid=False,
        comment="items that wait for people in a stage of their workflow",
    )
    op.create_index(
        "ix_item_stages_dataset_id_stage_item_id", "item_stages", ["dataset_id", "stage", "item_id"]
    )
    op.create_table(
        "stage_transitions",
        sa.Column("transition_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("workflow_id", BIG, nullable=False),
        sa.Column("from_stage", sa.Text(), nullable=True),
        sa.Column("to_stage", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("review_id", BIG, nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("transition_id", name="pk_stage_transitions"),
        sqlite_autoincrement=True,
        comment="the way of items through stages, append-only",
    )
    op.create_index(
        "ix_stage_transitions_item_id_transition_id", "stage_transitions", ["item_id", "transition_id"]
    )
    op.create_table(
        "leases",
        sa.Column("lease_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("solver_id", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("leased_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_leases_item_id"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_leases_dataset_id"),
        sa.PrimaryKeyConstraint("lease_id", name="pk_leases"),
        sqlite_autoincrement=True,
        comment="tasks in people's hands; ending: answered, returned or expired; shown: how the item stood",
    )
    op.create_index(
        "ix_leases_dataset_id_ended_at_expires_at", "leases", ["dataset_id", "ended_at", "expires_at"]
    )
    op.create_index("ix_leases_item_id_solver_id", "leases", ["item_id", "solver_id"])
    op.create_table(
        "stage_answers",
        sa.Column("answer_id", BIG, sa.Identity(always=False, cache=1), nullable=False),
        sa.Column("item_id", UUID, nullable=False),
        sa.Column("dataset_id", UUID, nullable=False),
        sa.Column("workflow_id", BIG, nullable=True),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("entered_at", TIME, nullable=False),
        sa.Column("solver_id", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lease_id", BIG, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name="fk_stage_answers_item_id"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name="fk_stage_answers_dataset_id"),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.workflow_id"], name="fk_stage_answers_workflow_id"
        ),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.lease_id"], name="fk_stage_answers_lease_id"),
        sa.PrimaryKeyConstraint("answer_id", name="pk_stage_answers"),
        sa.UniqueConstraint(
            "item_id",
            "stage",
            "entered_at",
            "solver_id",
            name="uq_stage_answers_item_id_stage_entered_at_solver_id",
        ),
        sqlite_autoincrement=True,
        comment="what people answered in a stage (null: discard it); the outcome is a decision on the item",
    )
    _keep_events()


def downgrade() -> None:
    """Back to the tables before; events, users and workflows are lost."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("update", "delete"):
            op.execute(f"DROP TRIGGER audit_events_{act}")
    for name in (
        "stage_answers",
        "leases",
        "stage_transitions",
        "item_stages",
        "workflows",
        "people",
        "sessions",
        "users",
        "api_keys",
        "audit_heads",
        "audit_events",
    ):
        op.drop_table(name)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_events_kept()")


def _keep_events() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for act in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER audit_events_{act} BEFORE {act.upper()} ON audit_events"
                f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_events_kept() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    for act, level in (("update or delete", "ROW"), ("truncate", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER audit_events_{act.split()[0]} BEFORE {act.upper()} ON audit_events"
            f" FOR EACH {level} EXECUTE FUNCTION audit_events_kept()"
        )
