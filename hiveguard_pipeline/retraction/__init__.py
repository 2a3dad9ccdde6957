"""Votes taken out of a dataset, a solver's (and put back) or single ones; what they touched is recounted."""

from hiveguard_pipeline.retraction.effect import Effect, ExportChange, LabelChange, StateChange
from hiveguard_pipeline.retraction.solvers import exclude, exclude_revised, restore
from hiveguard_pipeline.retraction.votes import original_solver, revised_solver, withdraw, withdraw_on

__all__ = [
    "Effect",
    "ExportChange",
    "LabelChange",
    "StateChange",
    "exclude",
    "exclude_revised",
    "original_solver",
    "restore",
    "revised_solver",
    "withdraw",
    "withdraw_on",
]
