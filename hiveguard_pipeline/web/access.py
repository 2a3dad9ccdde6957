"""Who may do what: an API key in `Authorization: Bearer`, or the session of someone who is signed in.

Roles as scopes: a viewer may export; a reviewer also review; an admin everything. A session is taken only
with the page's CSRF token beside it, so that no other site's page can act for the person.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset
from hiveguard_pipeline.web.keys import Key, find_key
from hiveguard_pipeline.web.problems import ProblemError
from hiveguard_pipeline.web.sign_in import signed_in_person

SCOPES_OF_ROLE = {
    "viewer": ("export",),
    "reviewer": ("export", "review"),
    "admin": ("votes", "review", "export", "admin"),
}

CACHE_SECONDS = 1.0
"""How long a key is trusted without a look at the store: a revoked one ends within this."""

_MOST_CACHED = 10_000

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, made by `hiveguard keys create`, or the session of a signed-in person.",
)

DatasetName = Annotated[
    str, Path(min_length=1, max_length=63, pattern="^[a-z0-9][a-z0-9_-]{0,62}$", description="The dataset.")
]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. person: the signed-in user, None for a key. dataset: the only one the caller may touch."""

    name: str
    scopes: tuple[str, ...]
    person: str | None = None
    dataset: str | None = None

    def may(self, scopes: tuple[str, ...]) -> bool:
        """Whether one of the scopes is the caller's; admin is every scope."""
        return "admin" in self.scopes or any(scope in self.scopes for scope in scopes)

    def acting_as(self, named: str | None, what: str) -> str:
        """Who a decision is recorded of: the signed-in person, or whom the holder of a key names."""
        if self.person is not None:
            if named not in (None, self.person):
                raise ProblemError(
                    403, "not-yourself", f"{what} is {self.person}, who is signed in, and no one else"
                )
            return self.person
        if named is None:
            raise ProblemError(422, "invalid", f"with a key, {what} has to be named")
        return named


class Keys:
    """Keys as the store has them, each looked up at most once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Key | None]] = OrderedDict()

    def find(self, text: str) -> Key | None:
        """The key of a text if it holds now; None for one that is unknown, revoked or expired."""
        with self._lock:
            known = self._known.get(text)
        if known is None or time.monotonic() - known[0] > CACHE_SECONDS:
            with self._database.look() as connection:
                known = (time.monotonic(), find_key(connection, text))
            with self._lock:
                self._known[text] = known
                self._known.move_to_end(text)
                while len(self._known) > _MOST_CACHED:
                    self._known.popitem(last=False)
        found = known[1]
        return found if found is not None and found.state == "active" else None


def caller_of(request: Request) -> Caller:
    """Who makes a request; raises the problem 401 for nobody."""
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, text = given.partition(" ")
        key = request.app.state.keys.find(text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise _refused("the key is unknown, revoked or expired", "invalid_token")
        return Caller(f"key {key.prefix}", key.scopes, dataset=key.dataset)
    person = signed_in_person(request)
    if person is None:
        raise _refused(
            "this wants an API key: Authorization: Bearer hg_...; `hiveguard keys create` makes one"
        )
    return Caller(person.name, SCOPES_OF_ROLE.get(person.role, ()), person=person.name)


def require(*scopes: str) -> Any:
    """A dependency: the caller, who has one of the scopes and may touch the dataset in the path."""

    def checked(request: Request, _: Annotated[Any, Depends(bearer)]) -> Caller:
        caller = caller_of(request)
        if not caller.may(scopes):
            raise ProblemError(
                403,
                "wrong-scope",
                f"this wants the scope {' or '.join(scopes)}; yours are {', '.join(caller.scopes) or 'none'}",
            )
        name = request.path_params.get("name")
        # Before anybody looks whether there is such a dataset: the answer must not tell.
        if name is not None and caller.dataset not in (None, name):
            raise ProblemError(403, "wrong-dataset", f"this key is for the dataset {caller.dataset} alone")
        return caller

    return Depends(checked)


def database_of(request: Request) -> Database:
    """The store of the application."""
    database: Database = request.app.state.database
    return database


Store = Annotated[Database, Depends(database_of)]


def dataset_of(name: DatasetName, database: Store) -> Dataset:
    """The dataset that a path names; raises NotFoundError, which names no others."""
    from hiveguard_pipeline.errors import NotFoundError

    with database.look() as connection:
        try:
            return get_dataset(connection, name)
        except NotFoundError:
            raise ProblemError(404, "not-found", f"there is no dataset {name}") from None


Named = Annotated[Dataset, Depends(dataset_of)]


def _refused(detail: str, error: str | None = None) -> ProblemError:
    said = f', error="{error}"' if error else ""
    return ProblemError(401, "no-access", detail, {"WWW-Authenticate": f'Bearer realm="hiveguard"{said}'})
