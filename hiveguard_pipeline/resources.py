"""What assets and sensors are given: the store, the place of the exports, and that of models.

A resource names environment variables and never holds what they say: nothing of an address or password
is in run config, in the UI or in an event.
"""

import os
import time

import dagster as dg

from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import bring_to_revision

REVISION_SECONDS = 60.0

_opened: dict[str, tuple[Database, float]] = {}
"""Each database, and when it was last seen at the newest revision, on this process's own clock."""


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The vote store; its address is read from the environment when it is opened."""

    url_variable: str = "HIVEGUARD_DATABASE_URL"

    def open(self) -> Database:
        """The database at its newest revision; raises HiveGuardError with what to do.

        A sensor opens it at every tick: a revision that was looked at a minute ago is not looked at again.
        The database stays the same one, with its connection for looks and with what SQLAlchemy has learnt of
        the statements.
        """
        given = {**os.environ, "HIVEGUARD_DATABASE_URL": os.environ.get(self.url_variable, "")}
        url = Settings.from_environment(given).database_url
        now = time.monotonic()
        database, looked_at = _opened.get(url) or (Database(url), None)
        if looked_at is None or now - looked_at >= REVISION_SECONDS:
            bring_to_revision(database)
            _opened[url] = database, now
        return database


class ExportsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where training exports go, and how many are kept."""

    root_variable: str = "HIVEGUARD_EXPORT_ROOT"

    @property
    def root(self) -> str:
        """The root as an fsspec URL or an absolute path."""
        given = {**os.environ, "HIVEGUARD_EXPORT_ROOT": os.environ.get(self.root_variable, "")}
        return Settings.from_environment(given).export_root

    @property
    def snapshot_root(self) -> str:
        """Where the snapshots lie that exports take their rows from."""
        return Settings.from_environment().snapshot_root

    @property
    def snapshots_kept(self) -> int:
        """How many snapshots of a dataset keep their files; 0: all."""
        return Settings.from_environment().snapshots_kept

    @property
    def kept(self) -> int:
        """How many exports of a dataset are kept."""
        return Settings.from_environment().exports_kept


class ModelsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where model files lie."""

    root_variable: str = "HIVEGUARD_MODEL_ROOT"

    @property
    def root(self) -> str:
        """The root as an fsspec URL or an absolute path."""
        given = {**os.environ, "HIVEGUARD_MODEL_ROOT": os.environ.get(self.root_variable, "")}
        return Settings.from_environment(given).model_root
