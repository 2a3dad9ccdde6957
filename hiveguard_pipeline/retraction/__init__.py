"""A solver's votes taken out of a dataset and put back; the items they touched recounted."""

from hiveguard_pipeline.retraction.effect import Effect, ExportChange, LabelChange, StateChange
from hiveguard_pipeline.retraction.solvers import exclude, restore

__all__ = ["Effect", "ExportChange", "LabelChange", "StateChange", "exclude", "restore"]
