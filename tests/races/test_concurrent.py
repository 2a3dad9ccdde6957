"""Runs, imports and the sensor at once, and writers that commit out of order."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.demo import SCENES, simulate, write_crowd
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.status import vote_counts
from sensors.unprocessed_votes import unprocessed_votes_sensor
from tests.races.crowd import CLASSES, add_items, outcome

HIVEGUARD = str(Path(sys.executable).parent / "hiveguard")
WRITERS = 20
VOTES_A_WRITER = 40


@pytest.mark.slow
def test_two_runs_an_import_and_a_sensor_at_once_end_as_in_sequence(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    files = [write_crowd(simulate(SCENES[0], 400, seed), tmp_path / str(seed))["votes"] for seed in (1, 2, 3)]
    # Solvers of the three crowds are others, so that no vote repeats one.
    for number, file in enumerate(files):
        file.write_text(
            file.read_text().replace(",good", f",good{number}").replace(",careless", f",c{number}")
        )
    create_dataset(database, "animals", Policy())
    import_votes(database, "animals", files[0], create_items=True)

    commands = [
        [HIVEGUARD, "run", "--dataset", "animals"],
        [HIVEGUARD, "votes", "import", str(files[1]), "--dataset", "animals", "--create-items"],
        [HIVEGUARD, "run", "--dataset", "animals"],
        [HIVEGUARD, "votes", "import", str(files[2]), "--dataset", "animals", "--create-items"],
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        children = [
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for command in commands
        ]
        cursor = None
        while any(child.poll() is None for child in children):
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"store": StoreResource()}
            )
            result = unprocessed_votes_sensor(context)
            assert isinstance(result, dg.SensorResult)
            cursor = result.cursor
            time.sleep(0.05)
        said = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * len(children), said
    assert "locked" not in "".join(said)
    apply_votes(database, "animals", run_id="last")
    assert verify(database, "animals").findings == []

    labels, ledger = outcome(database)
    with database.read() as connection:
        arrived = connection.execute(
            sa.text(
                "SELECT i.external_id, v.solver_id, v.answer FROM votes v JOIN items i"
                " ON i.item_id = v.item_id ORDER BY v.vote_id"
            )
        ).all()
    in_order = tmp_path / "in_order.csv"
    in_order.write_text("external_id,solver_id,answer\n" + "".join(f"{a},{b},{c}\n" for a, b, c in arrived))
    calm = open_database(f"sqlite:///{tmp_path / 'calm.db'}")
    create_dataset(calm, "animals", Policy())
    import_votes(calm, "animals", in_order, create_items=True)
    apply_votes(calm, "animals", run_id="calm")
    calm_labels, calm_ledger = outcome(calm)
    # vote_ids may have gaps where votes came at once; all else is the same.
    assert [row[:-1] for row in labels] == [row[:-1] for row in calm_labels]
    assert [(row[0], *row[3:]) for row in ledger] == [(row[0], *row[3:]) for row in calm_ledger]


@pytest.mark.slow
def test_writers_that_commit_out_of_order_lose_no_vote_and_none_counts_twice(new_postgres: object) -> None:
    assert callable(new_postgres)
    database = open_database(new_postgres())
    dataset = create_dataset(database, "animals", Policy())
    items = add_items(database, dataset, 60)
    overtaken: list[int] = []

    def write(number: int) -> None:
        chance = random.Random(number)
        engine = sa.create_engine(database.url)
        with engine.connect() as connection:
            for vote in range(VOTES_A_WRITER):
                item = items[chance.randrange(len(items))]
                with connection.begin():
                    mine = connection.execute(
                        sa.text(
                            "INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, :solver, :answer)"
                            " RETURNING vote_id"
                        ),
                        {
                            "item": item,
                            "solver": f"{number}-{vote}",
                            "answer": chance.choice((*CLASSES[:1] * 3, *CLASSES)),
                        },
                    ).scalar_one()
                    time.sleep(chance.uniform(0, 0.12))
                    newest = connection.execute(sa.text("SELECT max(vote_id) FROM votes")).scalar_one()
                    overtaken.append(int(newest > mine))
        engine.dispose()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    runs = 0
    while any(thread.is_alive() for thread in threads):
        apply_votes(database, "animals", run_id=f"run-{runs}")
        assert verify(database, "animals").findings == []
        runs += 1
    apply_votes(database, "animals", run_id="last")
    assert runs > 3
    assert sum(overtaken) > WRITERS, "no vote was overtaken: the test tests nothing"
    assert verify(database, "animals").findings == []
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
    assert counts["received"] == WRITERS * VOTES_A_WRITER
    assert counts["applied"] + counts["unprocessed"] == counts["received"]
    labels, ledger = outcome(database)
    with database.write() as connection:
        for table in ("labels", "batches"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
        connection.execute(sa.text("UPDATE dataset_progress SET folded_through = 0"))
    apply_votes(database, "animals", run_id="at once")
    assert (labels, ledger) == outcome(database)
