"""Tokens that show a request was made from our own page: an HMAC of the session, in each form and header.

A page of another host can make a browser send the cookie, but cannot read it, nor the token. Before the
sign-in a cookie of random bits stands in for the session.
"""

import hashlib
import hmac
from collections.abc import Mapping

HEADER = "X-CSRF-Token"
FIELD = "csrf"


def token_for(session_token: str) -> str:
    """The token that forms and requests of a session carry."""
    return hmac.new(session_token.encode("utf-8", "replace"), b"hiveguard csrf", hashlib.sha256).hexdigest()


def matches(session_token: str, given: str | None) -> bool:
    """Whether a request's token is the session's."""
    if not given:
        return False
    return hmac.compare_digest(token_for(session_token).encode(), given.encode("utf-8", "replace"))


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that another site's page made the request (Fetch Metadata, W3C)."""
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
