"""`hiveguard snapshots`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hiveguard_pipeline.cli.shared import (
    as_json,
    confidence,
    dataset_option,
    emit,
    fmt_option,
    open_store,
    progress,
    required_dataset,
    say,
)
from hiveguard_pipeline.rules.policy import millionths
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.snapshots import EXPORT_FORMATS

SPLIT_METHODS = ("hash", "exact")
_LISTED = ["snapshot_id", "dataset", "created_at", "rows", "schema_version", "split", "actor", "note", "file"]
_CHANGES = [
    "change",
    "item_id",
    "external_id",
    "label_from",
    "label_to",
    "confidence_from",
    "confidence_to",
    "source",
    "actor",
    "reason",
    "state",
    "run_id",
    "columns",
]
_DRIFTED = [
    "what",
    "item_id",
    "external_id",
    "label",
    "label_now",
    "confidence",
    "confidence_now",
    "state",
    "source",
    "actor",
    "reason",
    "run_id",
    "at",
    "agree",
    "disagree",
]
_FINDINGS = ["snapshot_id", "what", "recorded", "found"]


@click.group()
def snapshots() -> None:
    """Make, list, compare, verify and export snapshots of labels."""


@snapshots.command()
@required_dataset
@click.option(
    "--graduated/--all", default=True, show_default=True, help="Which labels: all are the finalized."
)
@click.option("--min-confidence", metavar="X", help="Only labels of at least this confidence (0 to 1).")
@click.option("--split", type=click.Choice(SPLIT_METHODS), help="How train and validation are told apart.")
@click.option("--recount", metavar="FOLDER", help="Take the labels from the output of `hiveguard recount`.")
@click.option("--note", metavar="T", default="", help="What it is for.")
@click.option("--actor", metavar="A", default="command line", show_default=True, help="Who makes it.")
@fmt_option
def create(
    dataset_name: str,
    graduated: bool,
    min_confidence: str | None,
    split: str | None,
    recount: str | None,
    note: str,
    actor: str,
    fmt: str,
) -> None:
    """Make a snapshot of the labels as they stand; the same labels give the one that is there."""
    from hiveguard_pipeline.snapshots import Selection, create_snapshot

    settings = Settings.from_environment()
    made = create_snapshot(
        open_store(),
        dataset_name,
        settings.snapshot_root,
        selection=Selection(graduated, millionths("--min-confidence", min_confidence or "0")),
        split=split,
        note=note,
        actor=actor,
        kept=settings.snapshots_kept,
        export_root=settings.export_root,
        recount=recount,
    )
    say(
        f"{'made' if made.is_new else 'there already:'} snapshot {made.snapshot.snapshot_id},"
        f" {made.snapshot.rows:,} labels"
    )
    emit([_row(made.snapshot)], _LISTED, fmt)


@snapshots.command("list")
@dataset_option
@fmt_option
def list_(dataset_name: str | None, fmt: str) -> None:
    """List snapshots, newest first; those too whose file was removed."""
    from hiveguard_pipeline.snapshots import list_snapshots

    with open_store().read() as connection:
        emit([_row(found) for found in list_snapshots(connection, dataset_name)], _LISTED, fmt)


@snapshots.command()
@click.argument("snapshot_id", metavar="ID")
@fmt_option
def show(snapshot_id: str, fmt: str) -> None:
    """Show what a snapshot is: its content, and which votes, policy and run it came from."""
    from hiveguard_pipeline.snapshots import find_snapshot

    found = find_snapshot(open_store(), snapshot_id)
    row = asdict(found) | {"header": found.header.values()}
    if fmt in ("json", "jsonl"):
        click.echo(as_json(row))
        return
    header = row.pop("header")
    flat = row | {key: value for key, value in header.items() if key not in ("selection", "split")}
    flat |= {f"selection.{key}": value for key, value in header["selection"].items()}
    flat |= {f"split.{key}": value for key, value in header["split"].items()}
    shown = [
        {"what": key, "value": ", ".join(map(str, value)) if isinstance(value, list) else value}
        for key, value in flat.items()
    ]
    emit(shown, ["what", "value"], fmt)


@snapshots.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@fmt_option
def diff(before: str, after: str, fmt: str) -> None:
    """List what changed from snapshot A to snapshot B: which labels, by whom or what, and why."""
    from hiveguard_pipeline.snapshots import diff_snapshots, find_snapshot

    database = open_store()
    old, new = (find_snapshot(database, snapshot) for snapshot in (before, after))
    found = diff_snapshots(database, Settings.from_environment().snapshot_root, old, new)
    said = ", ".join(f"{count:,} {change}" for change, count in found.counts.items() if count)
    say(f"{old.snapshot_id[:12]} to {new.snapshot_id[:12]}: {said or 'no change'}, {found.same:,} as before")
    for key, (was, now) in found.header.items():
        say(f"{key}: {as_json(was)} -> {as_json(now)}")
    for change in found.schema:
        say(f"classes, version {change.version}: {change.change} by {change.actor} ({change.reason})")
    rows = (
        {name: getattr(change, name) for name in _CHANGES}
        | {name: confidence(getattr(change, name)) for name in ("confidence_from", "confidence_to")}
        for change in found.changes()
    )
    emit(rows, _CHANGES, fmt)


@snapshots.command()
@click.argument("snapshot_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="All snapshots.")
@fmt_option
def verify(snapshot_id: str | None, every: bool, fmt: str) -> None:
    """Hash a snapshot's file and rows again; end with 1 and the differences if it is not what it was."""
    from hiveguard_pipeline.snapshots import find_snapshot, list_snapshots, verify_snapshot

    if every == (snapshot_id is not None):
        raise click.UsageError("name a snapshot, or --all")
    database, root = open_store(), Settings.from_environment().snapshot_root
    if snapshot_id is not None:
        chosen = [find_snapshot(database, snapshot_id)]
    else:
        with database.read() as connection:
            chosen = list_snapshots(connection)
    findings = []
    with progress("verifying", "snapshots") as report:
        for position, snapshot in enumerate(chosen):
            findings += verify_snapshot(snapshot, root)
            report(position + 1, len(chosen))
    say(f"{len(chosen):,} snapshots, {len(findings):,} differences")
    emit([asdict(finding) for finding in findings], _FINDINGS, fmt)
    if findings:
        raise click.exceptions.Exit(1)


@snapshots.command()
@click.argument("snapshot_id", metavar="ID")
@click.option("--fmt", type=click.Choice(EXPORT_FORMATS), required=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", required=True, help="A new folder.")
@click.option(
    "--rebase-paths",
    metavar="ROOT",
    help="Names of images below this root are made relative to it, and written below it again.",
)
@click.option(
    "--image-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where image files lie, for sizes that are not recorded.",
)
@click.option("--allow-lossy", is_flag=True, help="Write what the format can hold, and drop the rest.")
def export(
    snapshot_id: str,
    fmt: str,
    output: Path,
    rebase_paths: str | None,
    image_dir: Path | None,
    allow_lossy: bool,
) -> None:
    """Write a snapshot as files for training, with manifest.json: always the same bytes."""
    from hiveguard_pipeline.snapshots import find_snapshot

    database = open_store()
    write_export(
        database,
        find_snapshot(database, snapshot_id),
        fmt,
        output,
        rebase_paths=rebase_paths,
        image_dir=image_dir,
        allow_lossy=allow_lossy,
    )


def write_export(database: Any, snapshot: Any, fmt: str, output: Path, **options: Any) -> None:
    """Export a snapshot and say what was written, and what was lost."""
    from hiveguard_pipeline.snapshots import ExportOptions, export_snapshot

    root = Settings.from_environment().snapshot_root
    done = export_snapshot(database, snapshot, root, fmt, output, ExportOptions(**options))
    for code, count in done.kept.items():
        say(f"{code}: {count:,}, kept in the side-car")
    for code, count in done.lost.items():
        say(f"{code}: {count:,}, lost")
    say(f"{snapshot.rows:,} labels of snapshot {snapshot.snapshot_id[:12]} in {output}")


@snapshots.command()
@click.argument("snapshot_id", metavar="ID")
@fmt_option
def drift(snapshot_id: str, fmt: str) -> None:
    """List the labels of a snapshot that no longer hold; end with 1 if there is any."""
    from hiveguard_pipeline.snapshots import drift_of, find_snapshot

    database = open_store()
    snapshot = find_snapshot(database, snapshot_id)
    found = drift_of(database, Settings.from_environment().snapshot_root, snapshot)
    say(
        f"{len(found):,} of {snapshot.rows:,} labels of snapshot {snapshot.snapshot_id[:12]} no longer hold"
        + ("; export anew and check again" if found else "")
    )
    rows = [
        asdict(row) | {name: confidence(getattr(row, name)) for name in ("confidence", "confidence_now")}
        for row in found
    ]
    emit(rows, _DRIFTED, fmt)
    if found:
        raise click.exceptions.Exit(1)


def _row(snapshot: Any) -> dict[str, Any]:
    """A snapshot in a listing."""
    split = snapshot.header.values()["split"]
    return {
        **{name: getattr(snapshot, name, None) for name in _LISTED},
        "schema_version": snapshot.header.schema_version,
        "split": f"{split['method']} {split['share']}",
        "file": "removed" if snapshot.removed_at else snapshot.file,
    }
