"""`hiveguard serve` and `hiveguard keys` as commands: they start, say where, and end cleanly."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from hiveguard_pipeline.cli.main import hiveguard, main
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.web.keys import create_key, find_key, list_keys
from tests.web.conftest import bearer

COMMAND = [sys.executable, "-c", "from hiveguard_pipeline.cli.main import main; main()"]


@pytest.fixture
def database_url(new_sqlite: Callable[[Path], str], tmp_path: Path) -> str:
    """Commands are the same on both databases."""
    return new_sqlite(tmp_path / "hiveguard.db")


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """The command, once it has said where it serves."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *options],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"hiveguard serves on http://([\d.]+):(\d+) \(stop it with Ctrl-C\)\n", line)
        assert found, line + process.stderr.read()
        yield process, found[1], int(found[2])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def answer(host: str, port: int, path: str, key: str | None = None) -> tuple[int, bytes]:
    """Asks until the server's processes are up."""
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection(host, port, timeout=20)
        connection.request("GET", path, headers=bearer(key) if key else {})
        got = connection.getresponse()
        body = got.read()
        connection.close()
        if got.status != 503 or time.monotonic() > deadline:
            return got.status, body


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGINT])
def test_a_server_without_a_user_or_a_key_starts_and_ends_cleanly(
    environment: dict[str, str], stopped_by: signal.Signals
) -> None:
    with serving(environment) as (process, host, port):
        assert host == "127.0.0.1"
        assert answer(host, port, "/healthz") == (200, b'{"status":"ok"}')
        assert answer(host, port, "/datasets")[0] == 401
        assert answer(host, port, "/openapi.json")[0] == 200
        with socket.create_connection((host, port)) as idle:  # does not hold up the end
            idle.sendall(b"GET /datasets HTTP/1.1\r\n")
            process.send_signal(stopped_by)
            out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.slow
def test_several_workers_serve_and_end_together(
    environment: dict[str, str], database: Database, dataset: Dataset
) -> None:
    key, _ = create_key(database, "test", ["export"], actor="test")
    with serving(environment, "--workers", "2") as (process, host, port):
        for _ in range(10):
            assert answer(host, port, f"/datasets/{dataset.name}/export", key)[0] == 200
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("environment")
def test_a_port_that_is_taken_is_one_line_and_a_host_beyond_this_machine_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = ended(monkeypatch, capsys, "serve", "--port", port)
    assert code == 1
    assert re.fullmatch(r"hiveguard: 127.0.0.1, port \d+ cannot be listened on: [^\n]+\n", said)
    code, said = ended(monkeypatch, capsys, "serve", "--host", "192.0.2.1", "--port", "0")
    assert code == 1
    assert said.startswith("warning: 192.0.2.1 can be reached from other machines")


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str]:
    """How a command that fails ends, and what it says; nothing on stdout."""
    monkeypatch.setattr(sys, "argv", ["hiveguard", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, said = capsys.readouterr()
    assert out == ""
    return exit_.value.code, said


def test_keys_are_made_listed_and_revoked(
    environment: dict[str, str], database: Database, dataset: Dataset
) -> None:
    run = CliRunner()
    options = ["--scope", "votes", "--scope", "export", "--dataset", "animals", "--days", "9"]
    made = run.invoke(hiveguard, ["keys", "create", "server", *options])
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert re.fullmatch(r"hg_[\w-]{43}", key)
    assert "shown this once" in made.stderr
    assert key not in made.stderr
    (stored,) = list_keys(database)
    assert (stored.scopes, stored.dataset, stored.state) == (("votes", "export"), "animals", "active")
    listed = run.invoke(hiveguard, ["keys", "list", "--fmt", "csv"])
    assert key[:11] in listed.stdout
    assert key not in listed.stdout
    ended = run.invoke(hiveguard, ["keys", "revoke", key[:11]])
    assert ended.exit_code == 0
    with database.read() as connection:
        found = find_key(connection, key)
    assert found is not None
    assert found.state == "revoked"
    target = f"key 1 ({key[:11]}...)"
    assert _events(database) == [("key.create", target), ("key.revoke", target)]


def _events(database: Database) -> list[tuple[str, ...]]:
    import sqlalchemy as sa

    with database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT action, target FROM audit_events WHERE action LIKE 'key.%' ORDER BY event_id")
        )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["create", "k"], 2, "Missing option '--scope'"),
        (["create", "k", "--scope", "root"], 2, "'root' is not one of"),
        (["create", " ", "--scope", "votes"], 1, "a key's name"),
        (["create", "k\n", "--scope", "votes"], 1, "a key's name"),
        (["create", "k", "--scope", "votes", "--dataset", "none"], 1, "there is no dataset 'none'"),
        (["create", "k", "--scope", "votes", "--days", "0"], 2, "0 is not in the range"),
        (["revoke", "7"], 1, "there is no such key"),
        (["revoke", "' OR 1=1 --"], 1, "there is no such key"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_what_is_no_key_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ends, says = ended(monkeypatch, capsys, "keys", *arguments)
    assert ends == code
    assert said in says
