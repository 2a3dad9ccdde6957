"""What a crowd's votes say of each item's class: majority, one-coin and Dawid-Skene, and how they keep up.

`aggregate` fits a method to a whole crowd. `posterior` reads other votes under a fitted model. `Online`
follows new votes between fits. `probability_rows` writes a fit as rows.
"""

from hiveguard_pipeline.quality.aggregation.aggregate import METHODS, Aggregate, aggregate
from hiveguard_pipeline.quality.aggregation.models import DawidSkene, Model, OneCoin, model_from_bytes
from hiveguard_pipeline.quality.aggregation.online import Online, Update
from hiveguard_pipeline.quality.aggregation.posterior import posterior
from hiveguard_pipeline.quality.aggregation.priors import NO_PRIOR, Prior
from hiveguard_pipeline.quality.aggregation.rows import PREFIX, probability_columns, probability_rows

__all__ = [
    "METHODS",
    "NO_PRIOR",
    "PREFIX",
    "Aggregate",
    "DawidSkene",
    "Model",
    "OneCoin",
    "Online",
    "Prior",
    "Update",
    "aggregate",
    "model_from_bytes",
    "posterior",
    "probability_columns",
    "probability_rows",
]
