"""Exports from a server: the file that the command writes, at any pace, and no transaction for a client."""

import contextlib
import csv
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hiveguard_pipeline.cli.main import hiveguard
from hiveguard_pipeline.errors import BadInputError, StoreUnavailableError
from hiveguard_pipeline.exports import export_labels
from hiveguard_pipeline.exports.remote import fetch_labels
from hiveguard_pipeline.review import correct
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.web.limits import Limits
from tests.store.voting import add_items, cast, letters
from tests.web.conftest import NewKey, Served, bearer, problem

FORMATS = ["csv", "jsonl", "json", "parquet"]


@pytest.fixture
def labelled(database: Database, dataset: Dataset) -> Dataset:
    """Forty labels, some of them with text that has to be quoted."""
    names = [f"i{n}" for n in range(38)] + ['q"uo,te\n', "=cmd()"]
    add_items(database, dataset, names)
    cast(database, dataset, [vote for name in names for vote in letters(name, "xxx")])
    apply_votes(database, dataset.name, run_id="run")
    return dataset


def local(database: Database, dataset: Dataset, fmt: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    export_labels(database, stream, fmt, dataset_name=dataset.name, **options)
    return stream.getvalue()


def many(database: Database, dataset: Dataset, count: int) -> None:
    """So many labels, made in the database."""
    sqlite = database.is_sqlite
    series = (
        f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "
        if sqlite
        else f"WITH s AS (SELECT generate_series(1, {count}) AS n) "
    )
    key = (
        "'00000000-0000-5000-8000-' || printf('%012d', n)"
        if sqlite
        else "CAST('00000000-0000-5000-8000-' || lpad(CAST(n AS text), 12, '0') AS uuid)"
    )
    with database.write() as connection:
        policy = connection.execute(sa.text("SELECT max(policy_id) FROM policies")).scalar()
        for columns, values, table in (
            (
                "item_id, dataset_id, external_id, data_ref, modality, created_at",
                f"{key}, :dataset, 'e' || n, 'https://example.org/pictures/' || n, 'image', :now",
                "items",
            ),
            (
                "item_id, dataset_id, label, confidence, state, needs_review, vote_count,"
                " revalidation_vote_count, revalidation_epochs, policy_id, generation, applied_through,"
                " created_at, updated_at",
                f"{key}, :dataset, 'cat', 900000, 'graduated', false, 3, 12, 1, {policy}, 1, 0, :now, :now",
                "labels",
            ),
        ):
            insert = f"INSERT INTO {table} ({columns})"
            query = f"SELECT {values} FROM s"
            text = f"{insert} {series}{query}" if sqlite else f"{series}{insert} {query}"
            connection.execute(
                sa.text(text), {"dataset": dataset.dataset_id, "now": "2026-11-01T00:00:00.000000Z"}
            )


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_stream_is_what_the_command_writes(
    client: TestClient, database: Database, labelled: Dataset, new_key: NewKey, fmt: str
) -> None:
    key = bearer(new_key("export", dataset_name=labelled.name))
    path = f"/datasets/{labelled.name}/export"
    answer = client.get(path, params={"fmt": fmt}, headers=key)
    assert answer.status_code == 200
    assert answer.content == local(database, labelled, fmt)
    assert answer.headers["content-disposition"] == f'attachment; filename="animals.{fmt}"'
    graduated = client.get(path, params={"fmt": fmt, "graduated": "true"}, headers=key)
    assert graduated.content == local(database, labelled, fmt, graduated=True)
    sure = client.get(path, params={"fmt": fmt, "min_confidence": "0.999999"}, headers=key)
    assert sure.content == local(database, labelled, fmt, min_confidence=999_999)


def test_what_cannot_be_exported_is_a_problem(client: TestClient, dataset: Dataset, new_key: NewKey) -> None:
    key = bearer(new_key("export"))
    for query in ("fmt=xml", "fmt=csv&min_confidence=2", "fmt=../../etc/passwd", "min_confidence=nan"):
        answer = client.get(f"/datasets/{dataset.name}/export?{query}", headers=key)
        assert problem(answer)["status"] == 422, query


def open_transactions(database: Database) -> int:
    """Transactions of other connections that are open on this PostgreSQL database."""
    with database.look() as connection:
        return int(
            connection.execute(
                sa.text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
                )
            ).scalar_one()
        )


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def asked(address: tuple[str, int], key: str, dataset: Dataset) -> socket.socket:
    """A client with a small window that has asked for an export."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(address)
    connection.sendall(
        f"GET /datasets/{dataset.name}/export HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {key}\r\n\r\n".encode()
    )
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def test_a_slow_client_gets_one_moment_of_the_database_and_holds_no_transaction(
    served: Served, database: Database, dataset: Dataset, new_key: NewKey, settings_here: Any
) -> None:
    many(database, dataset, 60_000)
    expected = local(database, dataset, "csv")
    with served() as address:
        connection = asked(address, new_key("export"), dataset)
        if not database.is_sqlite:
            until(lambda: open_transactions(database) == 0)
        first = "00000000-0000-5000-8000-000000059999"
        correct(database, first, "dog", reviewer="ann", reason="a dog")  # a writer is not held up either
        with connection, connection.makefile("rb") as stream:
            rest = http.client.HTTPResponse(connection)
            rest.fp = io.BufferedReader(_Joined(b"HTTP/1.1 200", stream))
            rest.begin()
            assert rest.read() == expected
    assert not any((settings_here.home / "tmp").iterdir())


class _Joined(io.RawIOBase):
    """What was read already, and then the rest."""

    def __init__(self, start: bytes, rest: Any) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._start or self._rest.read1(len(buffer))
        self._start = b""
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_clients_that_leave_or_read_nothing_leave_nothing_behind_and_others_are_served(
    served: Served, database: Database, dataset: Dataset, new_key: NewKey
) -> None:
    many(database, dataset, 60_000)
    key = new_key("export")

    def status(address: tuple[str, int]) -> int:
        connection = http.client.HTTPConnection(*address, timeout=20)
        connection.request("GET", f"/datasets/{dataset.name}/export", headers=bearer(key))
        code = connection.getresponse().status
        connection.close()
        return code

    with served(Limits(send_seconds=0.5, exports_at_once=1)) as address:
        for _ in range(3):
            until(lambda: status(address) == 200)  # and leaves
        until(lambda: status(address) == 200)
        until(lambda: status(address) == 200)
        with _stalled(address, key, dataset):
            assert status(address) == 503
            until(lambda: status(address) == 200)  # the one that reads nothing is cut off
        until(lambda: open_transactions(database) == 0)


@contextlib.contextmanager
def _stalled(address: tuple[str, int], key: str, dataset: Dataset) -> Iterator[None]:
    """While a client has an export begun and reads nothing more."""
    deadline = time.monotonic() + 20
    while True:
        try:
            connection = asked(address, key, dataset)
            break
        except AssertionError:  # the one before is just leaving
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with connection:
        yield


def test_the_command_fetches_from_a_server_what_it_writes_itself(
    served: Served,
    database: Database,
    labelled: Dataset,
    new_key: NewKey,
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served() as (host, port):
        url = f"http://{host}:{port}"
        monkeypatch.setenv("HIVEGUARD_API_KEY", new_key("export"))
        for fmt in FORMATS:
            output = tmp_path / f"labels.{fmt}"
            done = CliRunner().invoke(
                hiveguard,
                ["datasets", "export", labelled.name, "--fmt", fmt, "--output", str(output), "--server", url],
            )
            assert (done.exit_code, done.stdout) == (0, ""), done.stderr
            assert output.read_bytes() == local(database, labelled, fmt)
        output = tmp_path / "labels.csv"
        before = output.read_bytes()
        for name, key, said in (
            ("nowhere", new_key("export"), "404: there is no dataset nowhere"),
            (labelled.name, new_key("votes"), "403: this wants the scope export"),
            (labelled.name, "hg_wrong", "401: the key is unknown"),
            ("../healthz", new_key("export"), "answers 4"),
        ):
            with pytest.raises(BadInputError, match=said):
                fetch_labels(url, key, name, "csv", output)
        with pytest.raises(BadInputError, match="HIVEGUARD_API_KEY is not set"):
            fetch_labels(url, None, labelled.name, "csv", output)
    with pytest.raises(StoreUnavailableError, match="could not be read"):
        fetch_labels(url, "hg_key", labelled.name, "csv", output)
    for bad in ("ftp://x", "http://labels.example.org", "nonsense", "http://"):
        with pytest.raises(BadInputError):
            fetch_labels(bad, "hg_key", labelled.name, "csv", output)
    assert output.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob(".labels*")) == []


class _Broken(BaseHTTPRequestHandler):
    """A server that promises more than it sends, or sends elsewhere."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization"))
        if "redirect" in self.path:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/datasets/there/export")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nitem_\r\n")

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def broken() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Broken)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_stream_that_breaks_off_leaves_the_file_as_it_was(broken: str, tmp_path: Path) -> None:
    output = tmp_path / "labels.csv"
    output.write_text("before")
    with pytest.raises(StoreUnavailableError, match="to the end"):
        fetch_labels(broken, "hg_key", "animals", "csv", output)
    _Broken.asked.clear()
    with pytest.raises(BadInputError, match="answers 302"):
        fetch_labels(broken, "hg_key", "redirect", "csv", output)
    assert _Broken.asked == ["Bearer hg_key"]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]
    assert output.read_text() == "before"


def test_an_export_that_fails_on_its_way_breaks_the_stream_and_begins_with_a_problem_where_it_can(
    served: Served, database: Database, labelled: Dataset, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_late(_database: Database, stream: Any, fmt: str, **_: Any) -> None:
        if fmt == "csv":
            stream.write(b"item_id\n")
            time.sleep(0.2)
        raise ValueError("a secret of the inside")

    monkeypatch.setattr("hiveguard_pipeline.web.api.export.export_labels", fails_late)
    key = new_key("export")
    with served() as address:
        connection = http.client.HTTPConnection(*address, timeout=20)
        connection.request("GET", f"/datasets/{labelled.name}/export?fmt=csv", headers=bearer(key))
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        connection = http.client.HTTPConnection(*address, timeout=20)
        connection.request("GET", f"/datasets/{labelled.name}/export?fmt=json", headers=bearer(key))
        answer = connection.getresponse()
        assert answer.status == 500
        assert b"secret" not in answer.read()


def test_rows_of_a_stream_are_read_as_csv(
    client: TestClient, app: FastAPI, labelled: Dataset, new_key: NewKey
) -> None:
    text = client.get(f"/datasets/{labelled.name}/export", headers=bearer(new_key("export"))).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 40
    assert {row["data_ref"] for row in rows} > {
        'https://example.org/q"uo,te\n.png',
        "https://example.org/=cmd().png",
    }
