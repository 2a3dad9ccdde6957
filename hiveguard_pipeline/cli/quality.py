"""`hiveguard quality`."""

import click


@click.group()
def quality() -> None:
    """Measure what votes say of labels and of people."""
