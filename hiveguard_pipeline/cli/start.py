"""`hiveguard init`."""

from pathlib import Path

import click

from hiveguard_pipeline.cli.shared import say
from hiveguard_pipeline.config import create_from_config
from hiveguard_pipeline.home import prepare_home
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import upgrade


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A YAML file that describes a dataset.",
)
def init(config: Path | None) -> None:
    """Create home, database (or upgrade it), and the dataset that a config describes."""
    settings = Settings.from_environment()
    database = Database(settings.database_url)
    prepare_home(settings)
    upgrade(database)
    say(f"home      {settings.home}")
    say(f"database  {database.address}")
    say(f"dagster   {settings.dagster_home}")
    say(f"exports   {settings.export_root}")
    say(f"snapshots {settings.snapshot_root}")
    say(f"models    {settings.model_root}")
    if config is not None:
        dataset, created = create_from_config(database, config)
        say(f"dataset   {dataset.name} ({'created' if created else 'there already'})")
