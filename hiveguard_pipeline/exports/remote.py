"""Labels from a server of ours into a file, which appears when it is whole."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hiveguard_pipeline.errors import BadInputError, StoreUnavailableError
from hiveguard_pipeline.exports.files import replacing

PART = 1 << 20
TIMEOUT_SECONDS = (10, 300)
"""To connect; between two parts of the answer."""

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


def fetch_labels(server: str, key: str | None, dataset_name: str, fmt: str, path: Path) -> int:
    """Write a dataset's finalized labels, as the server streams them, to a file; returns its bytes.

    Raises BadInputError for what the server refuses, and StoreUnavailableError where the stream breaks off:
    then the file is as it was. The key is sent to that server alone, and not in clear over a network.
    """
    address = urlsplit(server)
    if address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment:
        raise BadInputError(f"{server!r} is no address of a server; it looks like https://labels.example.org")
    if address.scheme == "http" and not _LOOPBACK.fullmatch(address.hostname):
        raise BadInputError(f"{server} would be sent the key in clear: use https, or a tunnel to localhost")
    if not key:
        raise BadInputError(
            "HIVEGUARD_API_KEY is not set: it is the key, with the scope export, for the server"
        )
    if not key.isascii() or not key.isprintable():
        raise BadInputError("HIVEGUARD_API_KEY is no key: those are hg_ and 43 letters and digits")
    url = f"{server.rstrip('/')}/datasets/{quote(dataset_name, safe='')}/export"
    size = 0
    with _asked(server, url, key, fmt, path) as parts, replacing(path) as stream:
        for part in parts:
            stream.write(part)
            size += len(part)
    return size


@contextmanager
def _asked(server: str, url: str, key: str, fmt: str, path: Path) -> Iterator[Iterator[bytes]]:
    """The parts of an answer."""
    import requests

    def broken(error: requests.RequestException) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"{server} could not be read to the end ({type(error).__name__}); {path} is as it was, try again"
        )

    def parts() -> Iterator[bytes]:
        try:
            yield from answer.iter_content(PART)
        except requests.RequestException as error:  # an OSError, which is not of the file that is written
            raise broken(error) from None

    try:
        answer = requests.get(
            url,
            params={"fmt": fmt},
            headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"},
            stream=True,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise broken(error) from None
    with answer:
        if answer.status_code != 200:
            raise BadInputError(f"{server} answers {answer.status_code}: {_said(answer)}")
        yield parts()


def _said(answer: Any) -> str:
    """The detail of a problem, or what the status is called."""
    try:
        said = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        said = answer.reason
    return " ".join(str(said).split())[:500]
