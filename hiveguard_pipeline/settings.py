"""Where things are: the home, the database, Dagster's own home, the exports, the snapshots, the models.

Everything is read from the environment when asked for, never at import. What a policy is stands in
`rules.policy`; here is only how the environment gives one to a new dataset.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ALL_SETTINGS, ONE, Policy, millionths

DEFAULT_HOME = ".hiveguard"
DEFAULT_EXPORTS_KEPT = 30

RUN_SILENCE_SECONDS = 600
"""A run that wrote no event for so long has died, unless HIVEGUARD_RUN_SILENCE_SECONDS says otherwise."""

LEAST_RUN_SILENCE_SECONDS = 10
"""A run's process needs some seconds until its first event."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Places and limits that the environment names; every path is absolute."""

    home: Path
    database_url: str
    dagster_home: Path
    export_root: str
    exports_kept: int
    snapshot_root: str
    snapshots_kept: int
    model_root: str
    failure_webhook: str | None
    run_silence_seconds: int
    max_calibration_error: float | None
    label_studio_url: str | None = None
    label_studio_token: str | None = field(default=None, repr=False)
    dagster_url: str | None = None
    data_dir: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read HIVEGUARD_* and DAGSTER_HOME; raises BadInputError for a value that cannot be used."""
        given = os.environ if environment is None else environment
        home = Path(given.get("HIVEGUARD_HOME") or DEFAULT_HOME).expanduser().absolute()
        return cls(
            home=home,
            database_url=given.get("HIVEGUARD_DATABASE_URL") or f"sqlite:///{home / 'hiveguard.db'}",
            dagster_home=Path(given.get("DAGSTER_HOME") or home / "dagster").expanduser().absolute(),
            export_root=given.get("HIVEGUARD_EXPORT_ROOT") or str(home / "exports"),
            exports_kept=_exports_kept(given.get("HIVEGUARD_EXPORTS_KEPT")),
            snapshot_root=given.get("HIVEGUARD_SNAPSHOT_ROOT") or str(home / "snapshots"),
            snapshots_kept=_snapshots_kept(given.get("HIVEGUARD_SNAPSHOTS_KEPT")),
            model_root=given.get("HIVEGUARD_MODEL_ROOT") or str(home / "models"),
            failure_webhook=given.get("HIVEGUARD_FAILURE_WEBHOOK") or None,
            run_silence_seconds=_run_silence(given.get("HIVEGUARD_RUN_SILENCE_SECONDS")),
            max_calibration_error=_max_error(given.get("HIVEGUARD_MAX_CALIBRATION_ERROR")),
            label_studio_url=given.get("HIVEGUARD_LABEL_STUDIO_URL") or None,
            label_studio_token=given.get("HIVEGUARD_LABEL_STUDIO_TOKEN") or None,
            dagster_url=_dagster_url(given.get("HIVEGUARD_DAGSTER_URL")),
            data_dir=_data_dir(given.get("HIVEGUARD_DATA_DIR")),
        )


def _exports_kept(text: str | None) -> int:
    if not text:
        return DEFAULT_EXPORTS_KEPT
    if not text.isdecimal() or int(text) < 1:
        raise BadInputError(f"HIVEGUARD_EXPORTS_KEPT must be a whole number from 1, not {text!r}")
    return int(text)


def _snapshots_kept(text: str | None) -> int:
    """0, the default: all of them."""
    if text and not text.isdecimal():
        raise BadInputError(f"HIVEGUARD_SNAPSHOTS_KEPT must be a whole number, 0 to keep all, not {text!r}")
    return int(text or 0)


def _run_silence(text: str | None) -> int:
    if not text:
        return RUN_SILENCE_SECONDS
    if not text.isdecimal() or int(text) < LEAST_RUN_SILENCE_SECONDS:
        raise BadInputError(
            f"HIVEGUARD_RUN_SILENCE_SECONDS must be a whole number from {LEAST_RUN_SILENCE_SECONDS},"
            f" not {text!r}"
        )
    return int(text)


def _max_error(text: str | None) -> float | None:
    if not text:
        return None
    limit = millionths("HIVEGUARD_MAX_CALIBRATION_ERROR", text) / ONE
    if limit <= 0:
        raise BadInputError(
            f"HIVEGUARD_MAX_CALIBRATION_ERROR must lie above 0, not {text}: no crowd reaches it"
        )
    return limit


def _dagster_url(text: str | None) -> str | None:
    """Where Dagster's pages are, without a slash at the end: the dashboard links runs to it."""
    if not text:
        return None
    if not text.startswith(("http://", "https://")):
        raise BadInputError(f"HIVEGUARD_DAGSTER_URL must begin with http:// or https://, not {text!r}")
    return text.rstrip("/")


def _data_dir(text: str | None) -> Path | None:
    """The folder of the files that data_refs without a scheme name; the dashboard shows them."""
    if not text:
        return None
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise BadInputError(f"HIVEGUARD_DATA_DIR names no folder: {folder}")
    return folder


def policy_from_environment(environment: Mapping[str, str] | None = None) -> Policy:
    """The policy for a dataset that is created now: the defaults, changed by the environment."""
    given = os.environ if environment is None else environment
    return Policy().replaced({name: given[name] for name in ALL_SETTINGS if given.get(name)})


def differing_settings(policy: Policy, environment: Mapping[str, str] | None = None) -> list[str]:
    """Warnings for settings of the environment that differ from a dataset's recorded policy."""
    given = os.environ if environment is None else environment
    warnings = []
    for name, recorded in policy.settings(whole=True).items():
        value = given.get(name)
        if not value:
            continue
        try:
            same = Policy().settings(whole=True) | {name: recorded}
            wanted = Policy().replaced(same | {name: value}).settings(whole=True)[name]
        except BadInputError:
            wanted = value
        if wanted != recorded:
            warnings.append(
                f"{name}={value} in the environment does nothing: the dataset's policy says {recorded}"
                " (`hiveguard policy set` changes it)"
            )
    return warnings
