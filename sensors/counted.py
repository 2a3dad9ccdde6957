"""Labels that the ledger gained, counted from tick to tick by sensors that ask for a run after so many."""

import json
from dataclasses import dataclass

import dagster as dg

from sensors.runs import LIVE, PARTITION_TAG


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one dataset: how far its ledger was counted, and the labels since a run was last asked for."""

    through: int = 0
    labels: int = 0


def parse(cursor: str | None) -> dict[str, Counted]:
    """The cursor by dataset; the beginning, if it holds nothing that can be read."""
    try:
        found = json.loads(cursor) if cursor else {}
        return {str(name): Counted(int(through), int(labels)) for name, (through, labels) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def written(counted: dict[str, Counted]) -> str:
    """The cursor that `parse` reads."""
    return json.dumps({name: [now.through, now.labels] for name, now in counted.items()}, sort_keys=True)


def live_runs(instance: dg.DagsterInstance, name: str, jobs: set[str]) -> int:
    """Runs of a dataset by some jobs that wait or are under way."""
    runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: name}, statuses=LIVE))
    return sum(run.job_name in jobs for run in runs)
