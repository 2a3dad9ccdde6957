"""`hiveguard keys`."""

import getpass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, say
from hiveguard_pipeline.web.keys import SCOPES, Key, create_key, list_keys, revoke_key

COLUMNS = [
    "key_id",
    "prefix",
    "name",
    "scopes",
    "dataset",
    "state",
    "created_by",
    "created_at",
    "expires_at",
    "revoked_at",
]

actor_option = click.option(
    "--actor", metavar="A", default=getpass.getuser, help="Who does it.  [default: the user's name]"
)


@click.group()
def keys() -> None:
    """Keys of the API: make, list, revoke."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may do; several may be given. admin is all of them.",
)
@click.option("--dataset", "dataset_name", metavar="NAME", help="The only dataset that it is for.")
@click.option("--days", type=click.IntRange(1, 36500), help="Until it expires; never, where none are given.")
@actor_option
def create(
    name: str, scopes: tuple[str, ...], dataset_name: str | None, days: int | None, actor: str
) -> None:
    """Make a key, and print it: this once, for the store keeps only its hash."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    text, key = create_key(
        open_store(), name, scopes, actor=actor, dataset_name=dataset_name, expires_at=expires_at
    )
    click.echo(text)
    say(
        f"made key {key.key_id} ({key.prefix}...) for {', '.join(key.scopes)}"
        f" of {key.dataset or 'every dataset'}; it is shown this once"
    )


@keys.command("list")
@fmt_option
def list_(fmt: str) -> None:
    """List the keys, by the beginnings of their texts."""
    emit([_row(key, fmt) for key in list_keys(open_store())], COLUMNS, fmt)


@keys.command()
@click.argument("key")
@actor_option
def revoke(key: str, actor: str) -> None:
    """End a key, named by its id or its prefix: at once, and for good."""
    done = revoke_key(open_store(), key, actor=actor)
    say(f"key {done.key_id} ({done.prefix}..., {done.name}) was revoked at {done.revoked_at}")


def _row(key: Key, fmt: str) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(key, name) for name in COLUMNS}
    return row if fmt in ("json", "jsonl") else row | {"scopes": ",".join(key.scopes)}
