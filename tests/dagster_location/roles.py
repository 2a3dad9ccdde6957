"""Roles of the test server that must prove their password, as production's must."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

PASSWORD = "sw0rdfish"


@contextmanager
def role_with_password(url: str, password: str = PASSWORD) -> Iterator[str]:
    """A role that may read and write everything in a database and has to give its password; its name."""
    role = f"role_{uuid.uuid4().hex}"
    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        file = Path(connection.execute(sa.text("SHOW hba_file")).scalar_one())
        before = file.read_text()
        line = f"local all {role} scram-sha-256\n"
        file.write_text(line + before)
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'"))
        connection.execute(sa.text(f"GRANT pg_read_all_data, pg_write_all_data TO {role}"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
        try:
            yield role
        finally:
            file.write_text(file.read_text().replace(line, ""))
            connection.execute(sa.text(f"DROP ROLE {role}"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()


def url_of(url: str, role: str, password: str = PASSWORD, as_option: bool = False) -> str:
    """The address of a database for a role; the password before the @, or as an option."""
    parsed = sa.make_url(url).set(username=role)
    parsed = parsed.update_query_dict({"password": password}) if as_option else parsed.set(password=password)
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)
