"""The sensor that makes a partition of each dataset, and observes its items."""

import json

import dagster as dg
import sqlalchemy as sa

from assets.partitions import DATASETS
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import StoreResource


@dg.sensor(
    name="datasets_sensor",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=["items"],
    description="Adds a partition for each new dataset, and observes the items that imports brought.",
)
def datasets_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """Compare the datasets of the store with the partitions there are."""
    try:
        with store.open().read() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT d.name, coalesce(max(i.import_id), 0) FROM datasets d LEFT JOIN imports i"
                    " ON i.dataset_id = d.dataset_id GROUP BY d.name ORDER BY d.name"
                )
            ).all()
    except HiveGuardError as error:
        return dg.SkipReason(f"the datasets could not be read: {error}")
    newest = {str(name): int(import_id) for name, import_id in rows}
    seen: dict[str, int] = json.loads(context.cursor) if context.cursor else {}
    there = set(context.instance.get_dynamic_partitions(str(DATASETS.name)))
    missing = [name for name in newest if name not in there]
    return dg.SensorResult(
        skip_reason=None if missing else "no new dataset",
        cursor=json.dumps(newest, sort_keys=True),
        dynamic_partitions_requests=[DATASETS.build_add_request(missing)] if missing else [],
        asset_events=[
            dg.AssetObservation(
                "items",
                partition=name,
                metadata={"newest_import": import_id},
                tags={"dagster/data_version": str(import_id)},
            )
            for name, import_id in newest.items()
            if import_id and seen.get(name) != import_id
        ],
    )
