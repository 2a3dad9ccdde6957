"""A dataset calibrated as it stands in the store: the fit kept, its labels given their probabilities."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation import DawidSkene
from hiveguard_pipeline.quality.calibration.calibrate import Calibration, calibrate
from hiveguard_pipeline.quality.calibration.opinions import log_prior
from hiveguard_pipeline.store.calibrations import (
    Fit,
    newest_calibration,
    save_calibration,
    write_probabilities,
)
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    current_policy,
    get_dataset,
    lock_dataset,
    progress_of,
)
from hiveguard_pipeline.store.horizon import WAIT_SECONDS, safe_horizon
from hiveguard_pipeline.store.structured import refuse_structured


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibrating a dataset did: labels that have a probability, and those that have another one now."""

    calibration_id: int
    horizon: int
    votes: int
    found: Calibration
    labels: int
    labels_changed: int


def calibrate_dataset(
    database: Database, dataset_name: str, wait_seconds: float = WAIT_SECONDS
) -> Calibrated:
    """Calibrate a dataset on its gold items and all votes that count.

    The fit is made while others may write; then it is kept and the labels are given their probabilities in
    one transaction.
    """
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
        refuse_structured(dataset, "a calibration")
        horizon = safe_horizon(connection, progress_of(connection, dataset).folded_through, wait_seconds)
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        crowd = read_crowd(connection, dataset, horizon)
    version = dataset.schema_version
    found = calibrate(crowd)
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        if dataset.schema_version != version:
            raise BadInputError(
                f"the classes of {dataset_name} were changed while it was calibrated; calibrate it again"
            )
        calibration_id = save_calibration(
            connection,
            dataset,
            kept(found),
            horizon=horizon,
            votes=len(crowd.answer),
            gold_items=found.gold,
            calibration_error=found.reliability.error,
            brier_score=found.reliability.brier,
        )
        labels, changed = write_probabilities(
            connection, dataset, crowd.item_ids, crowd.classes, found.probability
        )
    return Calibrated(calibration_id, horizon, len(crowd.answer), found, labels, changed)


def ensure_calibrated(database: Database, dataset_name: str) -> None:
    """Calibrate a dataset that graduates by probability, where no calibration is there to do it by."""
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        adaptive = current_policy(connection, dataset).policy.is_adaptive
        missing = adaptive and newest_calibration(connection, dataset) is None
    if missing:
        calibrate_dataset(database, dataset_name)


def kept(found: Calibration) -> Fit:
    """What the store keeps of a calibration."""
    model: DawidSkene = found.model
    prior = model.prior
    others = np.count_nonzero(model.class_prior) - 1
    return Fit(
        solvers=model.solvers,
        classes=model.classes,
        solver=model.solver,
        answer=model.answer,
        log_error=model.log_error,
        log_whole=np.log(model.total + prior.correct + others * prior.wrong),
        log_right=float(np.log(prior.correct)),
        log_wrong=float(np.log(prior.wrong)),
        log_prior=log_prior(model),
        log_pooled=model.log_pooled,
        standing=found.standing,
        stepwise=found.stepwise,
    )
