"""Somebody who is signed in to the dashboard, as a caller of the API: by cookie and CSRF token."""

from typing import TYPE_CHECKING

from fastapi import Request

from hiveguard_pipeline.web import csrf, sessions

if TYPE_CHECKING:
    from hiveguard_pipeline.web.sessions import SignedIn


def signed_in_person(request: Request) -> "SignedIn | None":
    """Whose session a request is of; None without one, and for a request that no page of ours made."""
    for secure in (True, False):
        token = request.cookies.get(sessions.cookie_name(secure))
        if token is None or not csrf.matches(token, request.headers.get(csrf.HEADER)):
            continue
        if csrf.is_from_elsewhere(dict(request.headers)):
            return None
        return sessions.signed_in(request.app.state.database, token)
    return None
