"""The errors that a user is meant to read: what is wrong, where, and what to do."""


class HiveGuardError(Exception):
    """Something the user can put right. The command line prints it as one line and ends with 1."""


class BadInputError(HiveGuardError):
    """A file, a setting or a name that cannot be taken as it is; nothing was changed."""


class StoreUnavailableError(HiveGuardError):
    """The database could not be reached or stayed busy; nothing was changed."""
