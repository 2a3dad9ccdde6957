"""Requests to a Label Studio server: who asks, how often, how long, and how much is read of an answer.

What belongs here: tokens, timeouts, repeats, limits, errors. What does not: which requests there are
(`server`). The token is in no error, no log and no text of this object.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hiveguard_pipeline.errors import BadInputError, HiveGuardError
from hiveguard_pipeline.formats.json_text import json_text, json_value
from hiveguard_pipeline.settings import Settings

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
"""Between two parts of an answer; an import of some hundred tasks is answered when it is done."""
WHOLE_SECONDS = 900.0
"""For an answer as a whole, however it trickles in."""
LARGEST_ANSWER = 256 << 20
"""Bytes of one answer."""
ATTEMPTS = 6
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between attempts: 0.5, 1, 2, 4, 8, each up to half as long again by chance; Retry-After counts."""

_AGAIN = frozenset({429, 500, 502, 503, 504})
_SHOWN = 300


class LabelStudioError(HiveGuardError):
    """The server could not be reached, refused, or answered what cannot be read."""


class NotThereError(LabelStudioError):
    """The server knows no such thing (404)."""


class UnsureError(LabelStudioError):
    """Whether the server did what it was asked is not known: look before asking again."""


class _LostError(Exception):
    """An attempt failed; sent: the server may have heard it. pause: seconds that it asks to wait."""

    def __init__(self, why: str, *, sent: bool, pause: float | None = None) -> None:
        super().__init__(why)
        self.sent, self.pause = sent, pause


class Client:
    """Speaks to one server as one user.

    token: the legacy token of a user (40 hex digits), or a personal access token, which is a refresh token:
    it gets access tokens for some minutes, again whenever the server refuses one.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        attempts: int = ATTEMPTS,
        first_pause: float = FIRST_PAUSE,
        timeouts: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
        largest_answer: int = LARGEST_ANSWER,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = checked_url(url)
        self._token = _checked_token(token)
        self._is_personal = token.strip().count(".") == 2
        self._access: str | None = None
        self._attempts, self._first_pause, self._timeouts = attempts, first_pause, timeouts
        self._largest, self._sleep = largest_answer, sleep
        self._session: requests.Session | None = None

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The JSON value of an answer; asked again after a failure that may pass."""
        return self._asked("GET", path, parameters, None, repeat=True)

    def patch(self, path: str, body: Any) -> Any:
        """Set what a thing is to be; asked again after a failure that may pass."""
        return self._asked("PATCH", path, None, body, repeat=True)

    def delete(self, path: str) -> None:
        """Take a thing away; asked again after a failure that may pass. One that is not there is gone."""
        with suppress(NotThereError):
            self._asked("DELETE", path, None, None, repeat=True)

    def post(self, path: str, body: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Make something, once. Raises UnsureError where it may have been made all the same.

        Asked again only where the server cannot have heard, or says that it did nothing (429).
        """
        return self._asked("POST", path, parameters, body, repeat=False)

    def _asked(
        self, method: str, path: str, parameters: Mapping[str, Any] | None, body: Any, *, repeat: bool
    ) -> Any:
        what = f"{method} {self.url}{path}"
        data = None if body is None else json_text(body)
        for attempt in range(1, self._attempts + 1):
            try:
                return self._authorised(method, path, parameters, data, what)
            except _LostError as lost:
                if lost.sent and not repeat:
                    raise UnsureError(f"{what}: {lost}; whether it was done is not known") from None
                if attempt == self._attempts:
                    raise LabelStudioError(
                        f"{what}: {lost}, {attempt} times; is the server up, and is"
                        " HIVEGUARD_LABEL_STUDIO_URL its address?"
                    ) from None
                self._sleep(self._pause(attempt, lost.pause))
        raise AssertionError("unreachable")

    def _pause(self, attempt: int, asked_for: float | None) -> float:
        pause: float = min(self._first_pause * 2 ** (attempt - 1), LONGEST_PAUSE)
        if asked_for is not None:
            pause = max(pause, min(asked_for, LONGEST_PAUSE))
        return pause * (1 + random.random() / 2)  # noqa: S311

    def _authorised(
        self, method: str, path: str, parameters: Mapping[str, Any] | None, data: bytes | None, what: str
    ) -> Any:
        """One attempt; with a personal token a second one, under a new access token, after a 401."""
        fresh = self._is_personal and self._access is None
        if fresh:
            self._refresh()
        status, content = self._sent(method, path, parameters, data, self._authorization())
        if status == 401 and self._is_personal and not fresh:
            self._refresh()
            status, content = self._sent(method, path, parameters, data, self._authorization())
        return self._judged(status, content, what)

    def _authorization(self) -> str:
        return f"Bearer {self._access}" if self._is_personal else f"Token {self._token}"

    def _refresh(self) -> None:
        path = "/api/token/refresh/"
        try:
            status, content = self._sent("POST", path, None, json_text({"refresh": self._token}), None)
        except _LostError as lost:  # what was asked for was not even sent
            raise _LostError(str(lost), sent=False, pause=lost.pause) from None
        if status == 401:
            raise LabelStudioError(
                f"{self.url} does not take the personal access token of HIVEGUARD_LABEL_STUDIO_TOKEN: it has"
                " expired or was revoked; make a new one in Label Studio (Account & Settings)"
            )
        found = self._judged(status, content, f"POST {self.url}{path}")
        access = found.get("access") if isinstance(found, dict) else None
        if not isinstance(access, str):
            raise LabelStudioError(f"POST {self.url}{path}: there is no access token in the answer")
        self._access = _checked_token(access)

    def _sent(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None,
        data: bytes | None,
        authorization: str | None,
    ) -> tuple[int, bytes]:
        """One request and its answer as it came. Raises _LostError for what may pass."""
        import requests

        if self._session is None:
            self._session = requests.Session()
        headers = {"Accept": "application/json", "User-Agent": "hiveguard"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            with self._session.request(
                method,
                f"{self.url}{path}",
                params=None if parameters is None else dict(parameters),
                data=data,
                headers=headers,
                # As `auth`, since a .netrc would replace a header.
                auth=_Authorization(authorization),
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = self._read(answer)
        except requests.exceptions.ConnectTimeout:
            raise _LostError(f"no connection within {self._timeouts[0]:g} seconds", sent=False) from None
        except requests.exceptions.Timeout:
            raise _LostError(f"no answer within {self._timeouts[1]:g} seconds", sent=True) from None
        except requests.exceptions.SSLError as error:
            raise LabelStudioError(f"{self.url}: no safe connection: {self._clean(str(error))}") from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _lost(error) from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise LabelStudioError(f"{self.url}: {self._clean(str(error))}") from None
        if answer.status_code in _AGAIN:
            why = f"the server answers {answer.status_code}"
            pause = _seconds(answer.headers.get("Retry-After"))
            raise _LostError(why, sent=answer.status_code != 429, pause=pause)
        if 300 <= answer.status_code < 400:
            raise LabelStudioError(
                f"{self.url} sends on to {self._clean(answer.headers.get('Location', ''))[:_SHOWN]}; set"
                " HIVEGUARD_LABEL_STUDIO_URL to the address it has now"
            )
        return answer.status_code, content

    def _read(self, answer: "requests.Response") -> bytes:
        until = time.monotonic() + WHOLE_SECONDS
        parts, size = [], 0
        for part in answer.iter_content(1 << 18):
            parts.append(part)
            size += len(part)
            if size > self._largest:
                raise LabelStudioError(f"{self.url}: an answer of more than {self._largest >> 20} MB")
            if time.monotonic() > until:
                raise _LostError(f"no whole answer within {WHOLE_SECONDS:g} seconds", sent=True)
        return b"".join(parts)

    def _judged(self, status: int, content: bytes, what: str) -> Any:
        if status in (401, 403):
            raise LabelStudioError(
                f"{what}: refused ({status}): {self._said(content)}; look at HIVEGUARD_LABEL_STUDIO_TOKEN"
                " (legacy tokens are off in a new Label Studio: make a personal access token, or switch them"
                " on in the settings of its organization) and at what its user may do"
            )
        if status == 404:
            raise NotThereError(
                f"{what}: not there (404); is it a Label Studio, and is the project still there?"
            )
        if not 200 <= status < 300:
            raise LabelStudioError(f"{what}: refused ({status}): {self._said(content)}")
        if not content:
            return None
        try:
            return json_value(content, what)
        except BadInputError as error:
            raise LabelStudioError(f"{self._clean(str(error))}; is it a Label Studio?") from None

    def _said(self, content: bytes) -> str:
        """What a refusal says, on one line."""
        text = content[: 1 << 16].decode("utf-8", "replace")
        try:
            found = json_value(content, "")
            if isinstance(found, dict):
                text = str(found.get("validation_errors") or found.get("detail") or found)
        except BadInputError:
            pass
        return self._clean(" ".join(text.split()))[:_SHOWN]

    def _clean(self, text: str) -> str:
        for secret in (self._token, self._access):
            if secret:
                text = text.replace(secret, "***")
        return text


class _Authorization:
    """Sets the header of a request."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: Any) -> Any:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def open_client(settings: Settings) -> Client:
    """The server that the environment names; raises BadInputError where it names none."""
    for name, value in (
        ("HIVEGUARD_LABEL_STUDIO_URL", settings.label_studio_url),
        ("HIVEGUARD_LABEL_STUDIO_TOKEN", settings.label_studio_token),
    ):
        if not value:
            raise BadInputError(f"{name} is not set: docs/label-studio.md says how to connect to a server")
    return Client(str(settings.label_studio_url), str(settings.label_studio_token))


def checked_url(url: str) -> str:
    """The address of a server without a slash at its end; raises BadInputError for what is none."""
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or "@" in parts.netloc or parts.query or parts.fragment or any(map(str.isspace, text)):
        raise BadInputError(
            "HIVEGUARD_LABEL_STUDIO_URL is no address of a server; it looks like https://label.example.com,"
            " without a user or a password"
        )
    return text


def _checked_token(token: str) -> str:
    text = token.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise BadInputError("HIVEGUARD_LABEL_STUDIO_TOKEN is no token: it is empty, or has blanks in it")
    return text


def _lost(error: Exception) -> _LostError:
    """What a broken connection means; one that never came about carried nothing."""
    from urllib3.exceptions import NameResolutionError, NewConnectionError

    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    if isinstance(reason, NameResolutionError):
        return _LostError("its name is not known", sent=False)
    if isinstance(reason, NewConnectionError):
        return _LostError("no connection", sent=False)
    return _LostError("the connection broke off", sent=True)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.strip().isdecimal() and len(text) < 6 else None
