"""What commands that take votes out of a dataset share: who does it, and what it did."""

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hiveguard_pipeline.cli.shared import as_json, emit
from hiveguard_pipeline.errors import BadInputError

if TYPE_CHECKING:
    from hiveguard_pipeline.retraction import Effect


def named_actor(given: str | None) -> str:
    """Who does it: the one named, else the user of this machine; raises BadInputError if it has no name."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        raise BadInputError("this machine's user has no name: say who with --actor") from None


def show_retraction(done: "Effect", fmt: str) -> None:
    """What a retraction did: one object as JSON, a count a line otherwise."""
    effect = asdict(done)
    if fmt in ("json", "jsonl"):
        click.echo(as_json(effect))
        return
    counts = {name: effect[name] for name in ("votes", "items", "recounted")}
    for part in ("labels", "finalized", "graduated"):
        counts |= {f"{part}_{what}": count for what, count in effect[part].items()}
    counts |= {f"{change['before']} -> {change['after']}": change["items"] for change in effect["states"]}
    emit([{"what": what, "count": count} for what, count in counts.items()], ["what", "count"], fmt)
