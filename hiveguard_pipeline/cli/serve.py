"""`hiveguard serve`."""

import ipaddress

import click

from hiveguard_pipeline.cli.shared import open_store, say

DEFAULT_PORT = 8300


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve the API and the dashboard until it is stopped.

    Listens to this machine alone unless --host says otherwise: then a proxy that speaks https belongs before
    it, for keys and passwords are sent in clear.
    """
    open_store()  # whatever is wrong with it is said before anything listens
    from hiveguard_pipeline.web.server import serve as run

    if not _is_loopback(host):
        say(
            f"warning: {host} can be reached from other machines, and keys and passwords would go there in"
            " clear: put a proxy that speaks https before it"
        )
    run(host, port, workers, lambda address: say(f"hiveguard serves on {address} (stop it with Ctrl-C)"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
