"""Confidence that is a probability: calibrated on gold items, checked on gold items that it has not seen."""

from hiveguard_pipeline.quality.calibration.calibrate import (
    ENOUGH_GOLD,
    Calibration,
    as_aggregate,
    calibrate,
    without_gold,
)
from hiveguard_pipeline.quality.calibration.recorded import (
    Calibrated,
    calibrate_dataset,
    ensure_calibrated,
    kept,
)
from hiveguard_pipeline.quality.calibration.reliability import BINS, Reliability, reliability

__all__ = [
    "BINS",
    "ENOUGH_GOLD",
    "Calibrated",
    "Calibration",
    "Reliability",
    "as_aggregate",
    "calibrate",
    "calibrate_dataset",
    "ensure_calibrated",
    "kept",
    "reliability",
    "without_gold",
]
