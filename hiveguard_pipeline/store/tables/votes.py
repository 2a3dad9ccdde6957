"""Votes and what they were made into: datasets, items, policies, labels, the ledger, reviews, imports.

Items and labels lie in item_id order on SQLite (WITHOUT ROWID): what reads many of them goes through both
side by side. A vote is found by its item through the unique index alone: each further index would cost
every vote that comes in.
"""

import sqlalchemy as sa

from hiveguard_pipeline.store.tables.parts import Big, CurrentTime, UtcTime, Uuid, key, metadata

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
    key("vote_id"),
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
    key("policy_id"),
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
    key("review_id"),
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
    key("batch_id"),
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
    key("import_id"),
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
    key("quarantine_id"),
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
    key("exclusion_id"),
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
    key("calibration_id"),
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

contested_items = sa.Table(
    "contested_items",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sqlite_with_rowid=False,
    comment="unlabeled items with votes enough for a label when a run looked at them, and maybe others",
)
