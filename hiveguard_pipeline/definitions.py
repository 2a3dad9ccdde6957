"""The code location: assets, checks, sensors, schedule, jobs and resources, and nothing else."""

from importlib.util import find_spec
from pathlib import Path

import dagster as dg

from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import ExportsResource, ModelsResource, StoreResource

for _room in ("assets", "sensors"):
    _found = find_spec(_room)
    _places = [Path(place) for place in (_found and _found.submodule_search_locations) or []]
    if _places != [Path(__file__).parents[1] / _room]:
        raise HiveGuardError(
            f"the package `{_room}` that Python finds ({', '.join(map(str, _places)) or 'none'}) is not"
            f" HiveGuard's, which lies in {Path(__file__).parents[1]}: rename the other one or take it off"
            " the path"
        )

from assets import (  # noqa: E402
    agreement,
    calibration,
    checks,
    label_studio,
    labels,
    learning,
    pool,
    posteriors,
    recount,
    solvers,
    votes,
    workflow,
)
from sensors.agreement import quality_sensor  # noqa: E402
from sensors.datasets import datasets_sensor  # noqa: E402
from sensors.drift import drift_sensor  # noqa: E402
from sensors.jobs import (  # noqa: E402
    label_batch_job,
    label_studio_job,
    nightly_labels_job,
    quality_job,
    recount_job,
    weak_model_job,
)
from sensors.label_studio import label_studio_sensor  # noqa: E402
from sensors.schedules import nightly_labels_schedule  # noqa: E402
from sensors.unprocessed_votes import unprocessed_votes_sensor  # noqa: E402
from sensors.weak_model import weak_model_sensor  # noqa: E402


def build_defs(**overrides: object) -> dg.Definitions:
    """The definitions; `overrides` replace resources by name (`store`, `exports`, `models`)."""
    resources: dict[str, object] = {
        "store": StoreResource(),
        "exports": ExportsResource(),
        "models": ModelsResource(),
    }
    unknown = sorted(set(overrides) - set(resources))
    if unknown:
        raise HiveGuardError(f"there is no resource {unknown[0]!r}; there are {', '.join(resources)}")
    return dg.Definitions(
        assets=[
            votes.ITEMS,
            votes.VOTES,
            *dg.load_assets_from_modules(
                [
                    votes,
                    labels,
                    workflow,
                    pool,
                    recount,
                    agreement,
                    posteriors,
                    calibration,
                    solvers,
                    learning,
                    label_studio,
                ]
            ),
        ],
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        jobs=[
            label_batch_job,
            nightly_labels_job,
            quality_job,
            recount_job,
            weak_model_job,
            label_studio_job,
        ],
        sensors=[
            unprocessed_votes_sensor,
            datasets_sensor,
            quality_sensor,
            drift_sensor,
            weak_model_sensor,
            label_studio_sensor,
        ],
        schedules=[nightly_labels_schedule],
        resources=resources | overrides,
    )


defs = build_defs()
