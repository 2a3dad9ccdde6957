"""How solvers and spot checks are printed, for the commands of `hiveguard quality` that have them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hiveguard_pipeline.cli.shared import emit

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.solvers import SolverQuality, SpotCheck

TABLE_COLUMNS = [
    "solver_id",
    "votes",
    "consensus_agreement",
    "cohens_kappa",
    "gold_accuracy",
    "model_accuracy",
    "median_ms",
    "longest_streak",
    "excluded",
    "reasons",
]
SPOT_CHECK_COLUMNS = [
    "solver_id",
    "external_id",
    "data_ref",
    "answer",
    "label",
    "state",
    "item_id",
    "vote_id",
]


def print_solvers(quality: "SolverQuality", flagged_only: bool, fmt: str) -> None:
    """A row a solver; the table shows the columns that one reads first."""
    from hiveguard_pipeline.quality.solvers import columns_of, solver_rows

    columns = TABLE_COLUMNS if fmt == "table" else columns_of(quality)
    written = {"table": _rounded, "csv": _exact}.get(fmt, dict)
    emit(map(written, solver_rows(quality, flagged_only=flagged_only)), columns, fmt)


def print_spot_checks(drawn: "Iterable[SpotCheck]", fmt: str) -> None:
    """A row a vote."""
    rows = ({name: getattr(check, name) for name in SPOT_CHECK_COLUMNS} for check in drawn)
    emit(rows, SPOT_CHECK_COLUMNS, fmt)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    """Floats in full: a table's six digits are not enough for a file."""
    return {name: repr(value) if isinstance(value, float) else value for name, value in row.items()}
