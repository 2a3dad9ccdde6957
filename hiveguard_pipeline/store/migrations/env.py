"""Run migrations on the connection that `store.schema` hands over, inside its transaction."""

from alembic import context

from hiveguard_pipeline.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
