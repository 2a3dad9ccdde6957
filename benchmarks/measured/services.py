"""A running `dg dev` on the store of HIVEGUARD_DATABASE_URL, and a dataset that its sensor watches."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuids

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DATASET = "arrivals"
START_SECONDS = 180
_VOTE = sa.text("INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, :solver, 'cat')")


def new_items(count: int) -> tuple[Database, list[str]]:
    """The store with a dataset of that many items, and their ids."""
    subprocess.run([BIN / "hiveguard", "init"], check=True, capture_output=True)
    database = open_database(Settings.from_environment().database_url)
    dataset = create_dataset(database, DATASET, Policy())
    names = pa.array([str(number) for number in range(count)])
    with database.write() as connection:
        insert_items(
            connection, dataset, names, data_ref=names, modality=pa.repeat(pa.scalar("image"), count)
        )
    return database, item_uuids(DATASET, names.to_pylist())


@contextmanager
def dg_dev() -> Iterator[None]:
    """Webserver, daemon and code location, as `make dev` starts them; ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    services = subprocess.Popen(
        [BIN / "dg", "dev", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "VIRTUAL_ENV": str(BIN.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(services.pid, signal.SIGINT)
        try:
            services.wait(timeout=60)
        except subprocess.TimeoutExpired:  # what was measured stands all the same
            os.killpg(services.pid, signal.SIGKILL)
            services.wait()


def vote(database: Database, item_id: str, solver: int) -> float:
    """One vote in a transaction of its own, as visitors give them; when it was committed."""
    with database.write() as connection:
        connection.execute(_VOTE, {"item": item_id, "solver": f"s{solver}"})
    return time.monotonic()


def vote_to_label(database: Database, item_id: str) -> float:
    """Three votes on an item; seconds from the last one to its label."""
    for solver in range(3):
        began = vote(database, item_id, solver)
    while time.monotonic() - began < START_SECONDS:
        with database.read() as connection:
            found = connection.execute(
                sa.text("SELECT 1 FROM labels WHERE item_id = :item"), {"item": item_id}
            ).first()
        if found:
            return time.monotonic() - began
        time.sleep(0.1)
    raise TimeoutError(f"no label after {START_SECONDS} seconds")
