"""The documented life cycle written as a workflow gives the labels that no workflow gives."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.review import correct, decide, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.workflow import LIFE_CYCLE, advance, set_workflow
from tests.retraction.world import REVIEWER, SMALL
from tests.store.voting import add_items, cast

WHO = {"actor": "lead", "reason": "written out"}


def labels(database: Database, name: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT s.external_id, s.state, s.label, s.confidence, s.vote_count,"
                " s.revalidation_vote_count, s.revalidation_epochs, s.generation FROM item_status s"
                " JOIN datasets d ON d.dataset_id = s.dataset_id WHERE d.name = :name ORDER BY s.external_id"
            ),
            {"name": name},
        ).all()
    return [tuple(row) for row in rows]


def ledger(database: Database, name: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT i.external_id, b.kind, b.agree, b.disagree, b.label, b.confidence_before,"
                " b.confidence_after, b.state_after FROM batches b JOIN items i ON i.item_id = b.item_id"
                " JOIN datasets d ON d.dataset_id = i.dataset_id WHERE d.name = :name"
                " ORDER BY i.external_id, b.batch_id"
            ),
            {"name": name},
        ).all()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("name", ["sp_amt", "music", "s4_dog"])
def test_on_real_votes(database: Database, shared_votes: Path, name: str) -> None:
    for dataset in ("plain", "staged"):
        create_dataset(database, dataset, Policy())
        import_votes(database, dataset, shared_votes / name / "votes.csv", create_items=True)
    set_workflow(database, "staged", LIFE_CYCLE, **WHO)
    for dataset in ("plain", "staged"):
        apply_votes(database, dataset, run_id="real")
        advance(database, dataset, run_id="real")
    assert labels(database, "plain") == labels(database, "staged")
    assert ledger(database, "plain") == ledger(database, "staged")
    with database.read() as connection:
        flagged, waiting = (
            connection.execute(sa.text(query)).scalar_one()
            for query in (
                "SELECT count(*) FROM labels l JOIN datasets d ON d.dataset_id = l.dataset_id"
                " WHERE d.name = 'staged' AND l.state = 'needs_review'",
                "SELECT count(*) FROM item_stages WHERE stage = 'review'",
            )
        )
    assert 0 < flagged <= waiting
    assert verify(database, "staged").findings == []


@pytest.mark.parametrize("seed", range(2))
def test_after_any_votes_runs_and_reviews(database: Database, seed: int) -> None:
    random = Random(seed)
    names = [f"i{number}" for number in range(8)]
    pair = [create_dataset(database, name, Policy().replaced(SMALL)) for name in ("plain", "staged")]
    set_workflow(database, "staged", LIFE_CYCLE, **WHO)
    for dataset in pair:
        add_items(database, dataset, names)
    for _ in range(25):
        casts = [(random.choice(names), random.choice("xxy")) for _ in range(random.randrange(12))]
        item, label = random.choice(names), random.choice("xy")
        act = random.choice(["run", "run", "confirm", "relabel", "discard", "undo", "correct"])
        said = []
        for dataset in pair:
            cast(database, dataset, casts)
            try:
                if act == "run":
                    apply_votes(database, dataset.name, run_id="run")
                    advance(database, dataset.name, run_id="run")
                elif act == "undo":
                    undo(database, item, dataset_name=dataset.name, **REVIEWER)
                elif act == "correct":
                    correct(database, item, label, dataset_name=dataset.name, **REVIEWER)
                else:
                    decide(database, item, act, label=label, dataset_name=dataset.name, **REVIEWER)
            except BadInputError as error:
                said.append(error)
        assert len(said) in (0, 2)
        assert labels(database, "plain") == labels(database, "staged")
        assert ledger(database, "plain") == ledger(database, "staged")
