"""Solvers measured: how each one answers beside the others, what stands out, and votes to look at by hand.

`measure_solvers` gives all figures and the outliers of a crowd, `spot_checks` draws votes of each solver.
"""

from hiveguard_pipeline.quality.solvers.measured import SolverQuality, measure_solvers, read_solver_quality
from hiveguard_pipeline.quality.solvers.outliers import Outliers
from hiveguard_pipeline.quality.solvers.rows import columns_of, solver_rows
from hiveguard_pipeline.quality.solvers.spot_checks import SpotCheck, spot_checks
from hiveguard_pipeline.quality.terms import MEASURES

__all__ = [
    "MEASURES",
    "Outliers",
    "SolverQuality",
    "SpotCheck",
    "columns_of",
    "measure_solvers",
    "read_solver_quality",
    "solver_rows",
    "spot_checks",
]
