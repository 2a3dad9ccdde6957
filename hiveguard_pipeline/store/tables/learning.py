"""Active learning: models, what they propose, what to ask next; and what a Label Studio server holds."""

import sqlalchemy as sa

from hiveguard_pipeline.store.tables.parts import Big, UtcTime, Uuid, key, metadata

models = sa.Table(
    "models",
    metadata,
    key("model_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("file_sha256", sa.Text, nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("ledger_position", Big, nullable=False),
    sa.Column("labels_used", Big, nullable=False),
    sa.Column("held_out", Big, nullable=False),
    sa.Column("accuracy", sa.Integer),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
    comment="models that propose labels and choose what to ask: trained here, or a user's; never changed",
)

prelabels = sa.Table(
    "prelabels",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("model_id", Big, sa.ForeignKey("models.model_id"), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("probability", sa.Integer, nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_with_rowid=False,
    comment="what a model proposes for an item: never a vote; blind ones are kept and shown to nobody",
)

selections = sa.Table(
    "selections",
    metadata,
    key("selection_id"),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("pool_size", Big, nullable=False),
    sa.Column("labelled", Big, nullable=False),
    sa.Column("model_id", Big, sa.ForeignKey("models.model_id")),
    sa.Column("seed", Big, nullable=False),
    sa.Column("uncertainty_mean", sa.Integer),
    sa.Column("notes", sa.JSON, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
    comment="queries of active learning: how items were chosen, by which model, out of how many",
)

labeling_queue = sa.Table(
    "labeling_queue",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("selection_id", Big, sa.ForeignKey("selections.selection_id"), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Index(None, "dataset_id", "rank"),
    sqlite_with_rowid=False,
    comment="what to ask next: the items of each dataset's newest selection, rank 1 first",
)

label_studio_projects = sa.Table(
    "label_studio_projects",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("project_id", Big, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

label_studio_tasks = sa.Table(
    "label_studio_tasks",
    metadata,
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("task_id", Big, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("model_id", Big, sa.ForeignKey("models.model_id")),
    sa.Column("proposal", sa.Text),
    sa.Column("probability", sa.Integer),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("pushed_at", UtcTime, nullable=False),
    sqlite_with_rowid=False,
    comment="items that a Label Studio project holds, and what was proposed to those who answer",
)

label_studio_annotations = sa.Table(
    "label_studio_annotations",
    metadata,
    sa.Column("dataset_id", Uuid, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("annotation_id", Big, primary_key=True, autoincrement=False),
    sa.Column("task_id", Big, nullable=False),
    sa.Column("item_id", Uuid, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("solver_id", sa.Text, nullable=False),
    sa.Column("vote_id", Big, sa.ForeignKey("votes.vote_id")),
    sa.Column("answer", sa.Text),
    sa.Column("proposal", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("deleted_at", UtcTime),
    sa.Column("seen_at", UtcTime, nullable=False),
    comment="annotations as they were last seen, and what became of them; updated_at is the server's own",
)
