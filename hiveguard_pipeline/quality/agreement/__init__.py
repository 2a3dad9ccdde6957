"""Agreement: how far the people agree who answered on the same items, beyond what chance would do."""

from hiveguard_pipeline.quality.agreement.causes import Deviations
from hiveguard_pipeline.quality.agreement.cohen import Kappas, pairwise
from hiveguard_pipeline.quality.agreement.confusion import Confusion
from hiveguard_pipeline.quality.agreement.intervals import Estimate
from hiveguard_pipeline.quality.agreement.judgement import Judgement, judge
from hiveguard_pipeline.quality.agreement.measured import FIGURES, Agreement, LabelAgreement, agreement
from hiveguard_pipeline.quality.terms import LEAST_KAPPA

__all__ = [
    "FIGURES",
    "LEAST_KAPPA",
    "Agreement",
    "Confusion",
    "Deviations",
    "Estimate",
    "Judgement",
    "Kappas",
    "LabelAgreement",
    "agreement",
    "judge",
    "pairwise",
]
