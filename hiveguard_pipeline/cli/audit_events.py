"""`hiveguard audit`."""

from dataclasses import asdict

import click

from hiveguard_pipeline.cli.shared import dataset_option, emit, fmt_option, open_store, say

_LISTED = ["sequence", "dataset", "at", "actor", "action", "target", "reason"]
_EXPORTED = [
    "event_id",
    "chain",
    "dataset",
    "sequence",
    "at",
    "actor",
    "action",
    "target",
    "reason",
    "before",
    "after",
    "previous_sha256",
    "sha256",
]
_FINDINGS = ["chain", "sequence", "what"]


@click.group()
def audit() -> None:
    """Who did what, when and why: list, export and verify the events."""


@audit.command("list")
@dataset_option
@click.option("--n", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@fmt_option
def list_(dataset_name: str | None, n: int, fmt: str) -> None:
    """The newest events."""
    from hiveguard_pipeline.audit import events_of

    with open_store().read() as connection:
        emit(list(events_of(connection, dataset_name, newest=n)), _LISTED, fmt)


@audit.command()
@dataset_option
@click.option("--fmt", type=click.Choice(["jsonl", "json", "csv"]), default="jsonl", show_default=True)
def export(dataset_name: str | None, fmt: str) -> None:
    """Stream all events, oldest first, with their hashes.

    sha256 is over the JSON array [chain, sequence, at, actor, action, target, reason, before, after,
    previous_sha256] without blanks, in UTF-8: anyone can check it.
    """
    from hiveguard_pipeline.audit import events_of

    with open_store().read() as connection:
        emit(events_of(connection, dataset_name), _EXPORTED, fmt)


@audit.command()
@dataset_option
@click.option("--head", "heads", multiple=True, metavar="NAME=HASH", help="A hash that was noted before.")
@fmt_option
def verify(dataset_name: str | None, heads: tuple[str, ...], fmt: str) -> None:
    """Recompute every chain of events; end with 1 and what is wrong if a row was changed or is missing.

    Prints the head of each chain on stderr: note them elsewhere, and give them back with --head.
    """
    from hiveguard_pipeline.audit import verify_events
    from hiveguard_pipeline.audit.events import parse_head

    done = verify_events(open_store(), dataset_name, dict(map(parse_head, heads)))
    emit([asdict(finding) for finding in done.findings], _FINDINGS, fmt)
    for name, head in done.heads.items():
        say(f"{name}={head}")
    say(f"{done.events:,} events, {len(done.findings):,} findings")
    if done.findings:
        raise click.exceptions.Exit(1)
