"""Votes taken out of a dataset, a solver's (and put back) or single ones; what they touched is recounted."""

from hiveguard_pipeline.retraction.effect import Effect, ExportChange, LabelChange, StateChange
from hiveguard_pipeline.retraction.solvers import exclude, restore
from hiveguard_pipeline.retraction.votes import revised_solver, withdraw, withdraw_on

__all__ = [
    "Effect",
    "ExportChange",
    "LabelChange",
    "StateChange",
    "exclude",
    "restore",
    "revised_solver",
    "withdraw",
    "withdraw_on",
]
