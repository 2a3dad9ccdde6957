"""The state of a database: empty, current, older or newer; and how it is brought to the newest revision."""

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store.database import Database, make_folder_of
from hiveguard_pipeline.store.revision import REVISION
from hiveguard_pipeline.store.tables import metadata
from hiveguard_pipeline.store.views import VIEWS

_MIGRATION_LOCK = 7_304_526_118_001


def open_database(url: str) -> Database:
    """The database at an address, at the newest revision: an empty one is set up, an older one refused."""
    database = Database(url)
    bring_to_revision(database)
    return database


def bring_to_revision(database: Database) -> None:
    """Set an empty database up, and refuse an older or a newer one."""
    make_folder_of(database)
    found = _revision(database)
    if found is None:
        upgrade(database)
    elif found != REVISION:
        raise BadInputError(_refusal(database, found))


def upgrade(database: Database) -> None:
    """Apply the migrations that the database has not seen; refuses one written by a newer version."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    make_folder_of(database)
    if database.is_sqlite:
        database.use_write_ahead_log()
    config = Config()
    config.set_main_option("script_location", "hiveguard_pipeline.store:migrations")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        found = _revision_on(connection, database)
        if found is not None and found not in known:
            raise BadInputError(_refusal(database, found))
        if found != REVISION:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        return _revision_on(connection, database)


def _revision_on(connection: sa.Connection, database: Database) -> str | None:
    inspector = sa.inspect(connection)
    names = set(inspector.get_table_names())
    if "alembic_version" in names:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if found is not None:
            return str(found)
    views = set(inspector.get_view_names())
    if (names | views) & {*metadata.tables, *VIEWS}:
        raise BadInputError(
            f"{database.address} holds tables of these names that HiveGuard did not make;"
            " give it a database or schema of its own"
        )
    return None


def _refusal(database: Database, found: str) -> str:
    if found < REVISION:
        return (
            f"{database.address} is at revision {found}, this version needs {REVISION}:"
            " run `hiveguard init` to upgrade it (make a backup first)"
        )
    return (
        f"{database.address} is at revision {found}, written by a newer version of HiveGuard than this one"
        f" ({REVISION}): install that version"
    )
