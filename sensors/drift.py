"""The sensor that tells when labels of the latest export no longer hold."""

import json
from typing import TYPE_CHECKING

import dagster as dg

from assets.checks import RE_EXPORT, STILL_HOLD, drift_metadata, said
from assets.labels import training_export
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import ExportsResource, StoreResource
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import list_datasets

if TYPE_CHECKING:
    from hiveguard_pipeline.snapshots.drift import Since

Seen = tuple[str, int, int]
"""Of one dataset: the export that was looked at, and how far ledger and votes had come."""


def parse(cursor: str | None) -> dict[str, Seen]:
    """The cursor by dataset; nothing seen, if it holds nothing that can be read."""
    try:
        found = json.loads(cursor) if cursor else {}
        return {
            str(name): (str(export), int(ledger), int(vote)) for name, (export, ledger, vote) in found.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


@dg.sensor(
    name="drift_sensor",
    asset_selection=[training_export],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        f"Evaluates {STILL_HOLD} of a dataset when a label of its latest export has drifted ({RE_EXPORT});"
        " starts no run."
    ),
)
def drift_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource, exports: ExportsResource
) -> dg.SensorResult | dg.SkipReason:
    """Look at what came since the last tick; where it moved an exported label, at the whole export."""
    from hiveguard_pipeline.snapshots.watch import position

    seen, events, failed = parse(context.cursor), [], []
    try:
        database = store.open()
        with database.read() as connection:
            now = {found.name: position(connection, found) for found in list_datasets(connection)}
    except HiveGuardError as error:
        return dg.SkipReason(f"the datasets could not be read: {error}")
    for name, place in now.items():
        try:
            event, exported = _evaluated(database, exports, name, seen.get(name), place)
        except (HiveGuardError, OSError) as error:
            failed.append(f"{name}: {error}")
            continue
        seen[name] = (exported, place.ledger_position, place.vote_id)
        if event is not None:
            events.append(event)
    return dg.SensorResult(
        asset_events=events,
        cursor=json.dumps({name: list(seen[name]) for name in now if name in seen}, sort_keys=True),
        skip_reason=None if events else "; ".join(failed) or "every exported label holds as before",
    )


def _evaluated(
    database: Database, exports: ExportsResource, name: str, seen: Seen | None, now: "Since"
) -> tuple[dg.AssetCheckEvaluation | None, str]:
    """An evaluation where something has drifted since, and the export that was looked at."""
    from hiveguard_pipeline.snapshots.drift import Since
    from hiveguard_pipeline.snapshots.export_folder import latest_export
    from hiveguard_pipeline.snapshots.watch import look

    if seen is not None and seen[1:] == (now.ledger_position, now.vote_id):
        return None, seen[0]
    latest = latest_export(exports.root, name)
    exported = str(latest["export_id"]) if latest else ""
    if latest is None:
        return None, exported
    if seen is not None and seen[0] == exported:
        since = Since(seen[1], seen[2])
        news = look(database, name, exports.root, exports.snapshot_root, since)
        if news is None or not news.drifted:
            return None, exported
    watched = look(database, name, exports.root, exports.snapshot_root)
    if watched is None or not watched.drifted:
        return None, exported
    evaluation = dg.AssetCheckEvaluation(
        asset_key=training_export.key,
        check_name=STILL_HOLD,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=said(watched),
        metadata=drift_metadata(watched),
        partition=name,
    )
    return evaluation, exported
