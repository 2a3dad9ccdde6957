"""The errors that a user is meant to read: what is wrong, where, and what to do."""


class HiveGuardError(Exception):
    """Something the user can put right. The command line prints it as one line and ends with 1."""


class BadInputError(HiveGuardError):
    """A file, a setting or a name that cannot be taken as it is; nothing was changed."""


class NotFoundError(BadInputError):
    """A dataset or an item that is not there."""


class ConflictError(HiveGuardError):
    """Something has changed since it was shown; nothing was done."""


class SettingError(BadInputError):
    """A setting that cannot be used, and its key."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


class StoreUnavailableError(HiveGuardError):
    """The database could not be reached or stayed busy; nothing was changed."""


class DeadlockError(StoreUnavailableError):
    """PostgreSQL ended a transaction that waited for another which waited for it; nothing was changed."""
