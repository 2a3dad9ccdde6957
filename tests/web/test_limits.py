"""What a server takes on a real socket: large bodies, slow clients, crowds are cut off, and others served."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.web.keys import create_key
from hiveguard_pipeline.web.limits import Limits
from tests.store.voting import add_items
from tests.web.conftest import Served

SHORT = Limits(
    body_bytes=100_000,
    bulk_bytes=200_000,
    header_seconds=0.5,
    body_seconds=0.7,
    send_seconds=0.5,
    keep_alive_seconds=1,
    requests_at_once=4,
    connections=60,
    threads=2,
)

PATH = "/datasets/animals/votes/bulk"


@pytest.fixture
def database_url(new_sqlite: Callable[[Path], str], tmp_path: Path) -> str:
    """Limits are the server's: one database is enough."""
    return new_sqlite(tmp_path / "hiveguard.db")


@pytest.fixture
def key(database: Database) -> str:
    add_items(database, create_dataset(database, "animals", Policy()), ["a"])
    return create_key(database, "test", ["admin"], actor="test")[0]


@pytest.fixture
def server(served: Served, key: str) -> Iterator[tuple[str, int]]:
    with served(SHORT) as address:
        yield address


def head(key: str, path: str = PATH, method: str = "POST", **headers: object) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_answer(connection: socket.socket) -> tuple[int, dict[str, object], bool]:
    """Status, problem or body, and whether the server has closed the connection after it."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    try:
        connection.settimeout(3)
        closed = connection.recv(1) == b""
    except ConnectionError:
        closed = True
    except TimeoutError:
        closed = False
    return answer.status, json.loads(body) if body else {}, closed


def is_served(address: tuple[str, int], key: str) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request("GET", "/datasets", headers={"Authorization": f"Bearer {key}"})
    return connection.getresponse().status == 200


def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(server: tuple[str, int], key: str) -> None:
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(head(key, Content_Length=1 << 30, Expect="100-continue"))
        status, told, closed = read_answer(connection)
    assert (status, told["type"], closed) == (413, "urn:hiveguard:problem:too-large", True)
    for length in ("1" * 5_000, "9" * 30):
        with socket.create_connection(server, timeout=10) as connection:
            connection.sendall(head(key, Content_Length=length))
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")  # no number that a server can hold
    assert is_served(server, key)


def test_a_body_of_a_gigabyte_in_chunks_is_cut_off_at_the_limit(server: tuple[str, int], key: str) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(head(key, Transfer_Encoding="chunked"))
        with pytest.raises(OSError):  # noqa: PT011, PT012 - broken pipe or reset, as it happens
            while sent < 1 << 30:
                connection.sendall(chunk)
                sent += len(chunk)
    assert sent < 32 << 20  # what lies in the buffers of two sockets
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(head(key, Transfer_Encoding="chunked") + chunk * 4)
        assert read_answer(connection)[0] == 413
    assert is_served(server, key)


def test_a_path_with_a_smaller_limit_has_it_and_one_at_its_limit_is_read(
    server: tuple[str, int], key: str
) -> None:
    for path, size, status in (
        ("/datasets/animals/votes", 100_001, 413),
        ("/datasets/animals/votes", 100_000, 400),
        (PATH, 200_000, 400),
        (PATH, 200_001, 413),
    ):
        with socket.create_connection(server, timeout=10) as connection:
            body = head(key, path, Content_Length=size, Content_Type="application/json") + b"{" * size
            try:
                connection.sendall(body)
            except OSError:
                assert status == 413
                continue
            assert read_answer(connection)[0] == status, (path, size)


def test_a_client_that_sends_its_body_byte_by_byte_is_cut_off(server: tuple[str, int], key: str) -> None:
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(head(key, Content_Length=1_000, Content_Type="application/json"))
        start = time.monotonic()
        for _ in range(100):
            try:
                connection.sendall(b" ")
            except OSError:
                break
            time.sleep(0.1)
            connection.setblocking(False)
            try:
                if connection.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
            finally:
                connection.settimeout(10)
        assert time.monotonic() - start < 5
        status, told, closed = read_answer(connection)
    assert (status, told["type"], closed) == (408, "urn:hiveguard:problem:too-slow", True)


@pytest.mark.parametrize("sent", [b"", b"GET /data", b"GET /datasets HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_client_that_does_not_end_its_headers_is_cut_off(
    server: tuple[str, int], key: str, sent: bytes
) -> None:
    crowd = [socket.create_connection(server, timeout=10) for _ in range(20)]
    for connection in crowd:
        connection.sendall(sent)
    assert is_served(server, key)  # meanwhile
    for connection in crowd:
        answer = b""
        while part := connection.recv(1_000):
            answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        connection.close()


def test_a_second_request_on_a_connection_has_the_same_deadline(server: tuple[str, int], key: str) -> None:
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(head(key, "/datasets", "GET"))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, bool(answer.read())) == (200, True)
        connection.sendall(b"GET /datasets HTTP/1.1\r\nX-Slow: ")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_headers_without_an_end_are_refused(server: tuple[str, int], key: str) -> None:
    with socket.create_connection(server, timeout=10) as connection, pytest.raises(OSError):  # noqa: PT011, PT012
        connection.sendall(b"GET /datasets HTTP/1.1\r\n")
        for n in range(100_000):
            connection.sendall(b"X-%d: " % n + b"y" * 1_000 + b"\r\n")
    assert is_served(server, key)


def test_more_requests_at_once_than_the_server_takes_are_told_to_come_again(
    server: tuple[str, int], key: str
) -> None:
    def hold(_: int) -> tuple[int, str]:
        with socket.create_connection(server, timeout=10) as connection:
            connection.sendall(head(key, Content_Length=10, Content_Type="application/json"))
            status, told, _closed = read_answer(connection)
            return status, str(told["type"])

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(hold, range(12)))
    assert {status for status, _ in answers} == {408, 503}
    assert (503, "urn:hiveguard:problem:busy") in answers
    assert is_served(server, key)


def test_a_request_that_is_not_http_is_refused(server: tuple[str, int], key: str) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"BREW /pot HTTP/9.9\r\n\r\n",
        b"\r\n" * 9,
    ):
        with socket.create_connection(server, timeout=10) as connection:
            connection.sendall(nonsense)
            assert connection.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 408"))
    smuggled = head(key, Content_Length=3, Transfer_Encoding="chunked") + b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(smuggled)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert is_served(server, key)
