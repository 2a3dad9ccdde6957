"""Third vote to updated label through a running `dg dev`, with the sensor on."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ITEMS = 8


def wait_for_label(database: Database, item_id: str, seconds: float) -> float:
    """Seconds until an item has a label."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with database.read() as connection:
            if connection.execute(
                sa.text("SELECT 1 FROM labels WHERE item_id = :item"), {"item": item_id}
            ).first():
                return time.monotonic() - began
        time.sleep(0.1)
    raise TimeoutError(f"no label after {seconds} seconds")


def vote(database: Database, item_id: str) -> None:
    """Three votes on an item, each in a transaction of its own, as visitors give them."""
    for solver in range(3):
        with database.write() as connection:
            connection.execute(
                sa.text("INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, :solver, 'cat')"),
                {"item": item_id, "solver": f"s{solver}"},
            )


def measure(home: Path) -> dict[str, object]:
    """Latencies over some items, the first one left out: it waits for the services to start."""
    environment = {
        **os.environ,
        "HIVEGUARD_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "VIRTUAL_ENV": str(BIN.parent),
    }
    subprocess.run([BIN / "hiveguard", "init"], env=environment, check=True, capture_output=True)
    database = open_database(f"sqlite:///{home / 'hiveguard.db'}")
    dataset = create_dataset(database, "latency", Policy())
    names = pa.array([str(number) for number in range(ITEMS)])
    with database.write() as connection:
        insert_items(
            connection, dataset, names, data_ref=names, modality=pa.repeat(pa.scalar("image"), ITEMS)
        )
    services = subprocess.Popen(
        [BIN / "dg", "dev", "--port", "3999"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        seconds = []
        for name in names.to_pylist():
            item = item_uuid("latency", name)
            vote(database, item)
            seconds.append(wait_for_label(database, item, 180))
            time.sleep(1.3)
    finally:
        os.killpg(services.pid, signal.SIGINT)
        services.wait(timeout=60)
    measured = sorted(seconds[1:])
    return {"seconds": measured, "median": measured[len(measured) // 2], "longest": measured[-1]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder))))
