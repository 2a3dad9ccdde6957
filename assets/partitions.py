"""The partition key of every asset, and what run tags say of a run."""

import dagster as dg

DATASETS = dg.DynamicPartitionsDefinition(name="datasets")
"""One partition a dataset; `datasets_sensor` adds them."""

OWNERS = ["team:labelling"]

MODE_TAG = "hiveguard/mode"
BATCH_MODE = "batch"
"""Runs of the sensor: look at new votes alone, count nothing, draw nothing."""


def is_batch(run: dg.DagsterRun) -> bool:
    """Whether a run is one of the sensor's."""
    return run.tags.get(MODE_TAG) == BATCH_MODE
