"""`hiveguard pool`."""

from dataclasses import asdict

import click

from hiveguard_pipeline.cli.shared import confidence, emit, fmt_option, open_store, required_dataset
from hiveguard_pipeline.pool import sample as draw
from hiveguard_pipeline.store.datasets import get_dataset

_COLUMNS = [
    "item_id",
    "external_id",
    "data_ref",
    "modality",
    "tier",
    "weight",
    "votes",
    "confidence",
    "queue_rank",
]


@click.group()
def pool() -> None:
    """Draw the items to serve next."""


@pool.command()
@required_dataset
@click.option("--n", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), help="Draw the same again.")
@fmt_option
def sample(dataset_name: str, n: int, seed: int | None, fmt: str) -> None:
    """Draw items: tier 1 (unlabeled; the labelling queue first), then tier 2 (in re-validation) by weight."""
    with open_store().read() as connection:
        drawn = draw(connection, get_dataset(connection, dataset_name), n, seed)
    rows = [asdict(item) | {"confidence": confidence(item.confidence)} for item in drawn]
    emit(rows, _COLUMNS, fmt)
