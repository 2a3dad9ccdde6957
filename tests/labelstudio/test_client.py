"""The client against a small server that misbehaves as real ones and their proxies do."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.labelstudio.client import (
    Client,
    LabelStudioError,
    NotThereError,
    UnsureError,
    checked_url,
)
from hiveguard_pipeline.labelstudio.server import Server
from hiveguard_pipeline.settings import Settings

TOKEN = "0123456789" * 4
PERSONAL = "aaa.bbb.ccc"

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""Status, body (None: the connection is closed without an answer) and further headers."""


class Misbehaving:
    """A server whose answers are listed; it notes what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                outer.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
                status, content, *more = outer.answers.pop(0)
                if content is None:
                    self.close_connection = True
                    return
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def other() -> Iterator[Misbehaving]:
    server = Misbehaving()
    yield server
    server.stop()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(other: Misbehaving, pauses: list[float]) -> Callable[..., Client]:
    def make(token: str = TOKEN, **options: Any) -> Client:
        return Client(other.url, token, sleep=pauses.append, **options)

    return make


def test_a_read_is_asked_again_with_growing_pauses(
    client: Callable[..., Client], other: Misbehaving, pauses: list[float]
) -> None:
    other.answers = [(503, {}), (0, None), (500, b"oops"), (429, {}, {"Retry-After": "7"}), (200, {"a": 1})]
    assert client().get("/x", {"q": "é&="}) == {"a": 1}
    assert {asked[1] for asked in other.asked} == {"/x?q=%C3%A9%26%3D"}
    assert {asked[2] for asked in other.asked} == {f"Token {TOKEN}"}
    assert [least <= pause <= least * 1.5 for least, pause in zip((0.5, 1, 2, 7), pauses, strict=True)]
    other.answers = [(502, {})] * 6
    with pytest.raises(
        LabelStudioError, match=r"GET .*/y: the server answers 502, 6 times; is the server up"
    ):
        client().get("/y")
    assert not other.answers


def test_what_makes_a_thing_is_sent_once_unless_it_was_not_heard(
    client: Callable[..., Client], other: Misbehaving, pauses: list[float]
) -> None:
    for answer in ((0, None), (500, {}), (504, b"")):
        other.answers = [answer]
        with pytest.raises(UnsureError, match="whether it was done is not known"):
            client().post("/x", {"a": 1})
    other.answers = [(429, {}), (201, {"id": 3})]
    assert client().post("/x", {"a": 1}) == {"id": 3}
    assert other.asked[-1][3] == b'{"a":1}'
    url = other.url
    other.stop()
    with pytest.raises(LabelStudioError, match="no connection, 6 times") as error:
        Client(url, TOKEN, sleep=pauses.append).post("/x", {})
    assert not isinstance(error.value, UnsureError)
    other.__init__()  # type: ignore[misc]  # for the fixture's end


def test_a_personal_token_gets_an_access_token_and_another_when_that_runs_out(
    client: Callable[..., Client], other: Misbehaving
) -> None:
    other.answers = [
        (200, {"access": "first"}),
        (200, [1]),
        (401, {}),
        (200, {"access": "second"}),
        (200, [2]),
    ]
    mine = client(PERSONAL)
    assert mine.get("/x") == [1]
    assert mine.post("/x", {}) == [2]  # a 401 has done nothing, so it is safe to ask again
    assert [asked[2] for asked in other.asked] == [
        None,
        "Bearer first",
        "Bearer first",
        None,
        "Bearer second",
    ]
    assert json.loads(other.asked[0][3]) == {"refresh": PERSONAL}
    other.answers = [(401, {"detail": f"no {PERSONAL}"})]
    with pytest.raises(LabelStudioError, match="personal access token") as error:
        client(PERSONAL).get("/x")
    assert PERSONAL not in str(error.value)


def test_refusals_say_why_and_never_the_token(client: Callable[..., Client], other: Misbehaving) -> None:
    said = {"detail": "no", "validation_errors": {"title": [f"too short {TOKEN}\nreally"]}}
    other.answers = [(400, said), (401, {"detail": f"bad {TOKEN}"}), (404, b"<html>")]
    mine = client()
    with pytest.raises(LabelStudioError, match=r"refused \(400\): \{'title': \['too short \*\*\*") as first:
        mine.post("/x", {})
    with pytest.raises(LabelStudioError, match=r"refused \(401\): bad \*\*\*; look at HIVEGUARD") as second:
        mine.get("/x")
    with pytest.raises(NotThereError, match="is it a Label Studio"):
        mine.get("/x")
    settings = Settings.from_environment({"HIVEGUARD_LABEL_STUDIO_TOKEN": TOKEN})
    for text in (str(first.value), str(second.value), repr(mine), repr(settings)):
        assert TOKEN not in text
        assert "\n" not in text


def test_answers_that_are_too_large_no_json_or_from_elsewhere_are_refused(
    client: Callable[..., Client], other: Misbehaving
) -> None:
    other.answers = [
        (200, b"[" + b" " * (2 << 20) + b"]"),
        (200, b"<html>log in</html>"),
        (200, b'{"a": NaN}'),
        (302, b"", {"Location": "https://elsewhere.example/x"}),
        (200, {"no": "tasks"}),
    ]
    with pytest.raises(LabelStudioError, match="more than 1 MB"):
        client(largest_answer=1 << 20).get("/x")
    for _ in range(2):
        with pytest.raises(LabelStudioError, match="is it a Label Studio"):
            client().get("/x")
    with pytest.raises(LabelStudioError, match=r"sends on to https://elsewhere.example/x"):
        client().post("/x", {})
    with pytest.raises(LabelStudioError, match="a list is wanted"):
        list(Server(client()).tasks(1, whole=False))


def test_a_server_that_does_not_answer_in_time_is_left(
    client: Callable[..., Client], other: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(other, "answers", _Waiting(release))
    try:
        with pytest.raises(LabelStudioError, match=r"no answer within 0\.2 seconds, 2 times"):
            client(attempts=2, timeouts=(1.0, 0.2)).get("/x")
        with pytest.raises(UnsureError):
            client(timeouts=(1.0, 0.2)).post("/x", {})
    finally:
        release.set()


class _Waiting(list[Any]):
    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self._release = release

    def pop(self, *_: Any) -> Any:
        self._release.wait(20)
        return (0, None)


def test_tasks_are_paged_above_the_last_id(client: Callable[..., Client], other: Misbehaving) -> None:
    pages = [list(range(1, 201)), list(range(305, 505)), [900]]
    other.answers = [(200, {"tasks": [{"id": one, "data": {}} for one in page]}) for page in pages]
    found = [task.task_id for task in Server(client()).tasks(7, whole=False)]
    assert found == [*pages[0], *pages[1], *pages[2]]
    assert "%22value%22%3A0%7D" in other.asked[0][1]
    assert "%22value%22%3A504" in other.asked[2][1]
    other.answers = [(200, {"tasks": [{"id": 1, "data": {}}] * 200})] * 2
    with pytest.raises(LabelStudioError, match="do not come in order"):
        list(Server(client()).tasks(7, whole=False))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "label.example.com",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x y",
        "http://x/?a=b",
        "http://[x",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadInputError, match="HIVEGUARD_LABEL_STUDIO_URL"):
        checked_url(url)
    assert checked_url("https://x.example/ls/ ") == "https://x.example/ls"


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "é"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(BadInputError, match="HIVEGUARD_LABEL_STUDIO_TOKEN"):
        Client("http://x.example", token)
