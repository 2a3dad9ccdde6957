"""Which items to ask next: strategies as pure functions over numpy arrays, seeded, with deterministic ties.

`select` runs any of STRATEGIES; each has its own function too. Nothing here trains a model, reads a store or
wants more than numpy. docs/active-learning.md says which strategy is for what, and where each loses.
"""

from hiveguard_pipeline.learning.selection.at_random import at_random
from hiveguard_pipeline.learning.selection.cautions import SelectionWarning, UsedUpError, large_query
from hiveguard_pipeline.learning.selection.choose import select
from hiveguard_pipeline.learning.selection.committee import committee, crowd
from hiveguard_pipeline.learning.selection.diversity import diversity
from hiveguard_pipeline.learning.selection.hybrid import cold_start, hybrid
from hiveguard_pipeline.learning.selection.per_item import box_uncertainty, token_uncertainty
from hiveguard_pipeline.learning.selection.ranking import Ranking
from hiveguard_pipeline.learning.selection.selected import Selection
from hiveguard_pipeline.learning.selection.strategies import DEFAULT, STRATEGIES, Strategy
from hiveguard_pipeline.learning.selection.uncertainty import most_uncertain, uncertainty, uncertainty_scores

__all__ = [
    "DEFAULT",
    "STRATEGIES",
    "Ranking",
    "Selection",
    "SelectionWarning",
    "Strategy",
    "UsedUpError",
    "at_random",
    "box_uncertainty",
    "cold_start",
    "committee",
    "crowd",
    "diversity",
    "hybrid",
    "large_query",
    "most_uncertain",
    "select",
    "token_uncertainty",
    "uncertainty",
    "uncertainty_scores",
]
