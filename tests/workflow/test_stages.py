"""Gates, models, time and changes of a workflow, and that what stages accept may be exported."""

from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.review import correct, list_flagged, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, current_policy, now_text
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import find_item
from hiveguard_pipeline.store.tables import item_uuid
from hiveguard_pipeline.workflow import (
    StageError,
    add_people,
    advance,
    answer,
    lease_next,
    parse_stages,
    remove_people,
    set_workflow,
    stages_of_quality,
)
from hiveguard_pipeline.workflow.drawn import drawing, items_in, picture
from hiveguard_pipeline.workflow.listed import transitions_of
from tests.retraction.world import REVIEWER, SMALL, WHO
from tests.store.voting import add_items, cast
from tests.workflow.world import LONG_AGO

CROWD = [
    {"name": "first", "who": "crowd", "on_pass": "again", "on_fail": "review"},
    {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "review"},
    {"name": "review", "who": "experts", "on_pass": "again"},
]


@pytest.fixture
def pets(database: Database) -> Dataset:
    return create_dataset(database, "pets", Policy().replaced(SMALL), classes=("cat", "dog", "cow"))


def staged(database: Database, *stages: dict[str, Any]) -> None:
    set_workflow(database, "pets", parse_stages([*CROWD, *stages]), **WHO)


def voted(database: Database, dataset: Dataset, votes: dict[str, str]) -> None:
    """Items with a vote for each letter: c, d, o are cat, dog, cow."""
    words = {"c": "cat", "d": "dog", "o": "cow"}
    add_items(database, dataset, votes)
    cast(database, dataset, [(name, words[letter]) for name, letters in votes.items() for letter in letters])
    apply_votes(database, dataset.name, run_id="r")


def waiting(database: Database, stage: str) -> list[str]:
    with database.read() as connection:
        rows = connection.execute(
            sa.select(t.items.c.external_id)
            .join(t.item_stages, t.item_stages.c.item_id == t.items.c.item_id)
            .where(t.item_stages.c.stage == stage)
            .order_by(t.items.c.external_id)
        )
        return list(rows.scalars())


def state(database: Database, name: str) -> tuple[str, str | None]:
    with database.read() as connection:
        found = find_item(connection, name, "pets")
    return found.state, found.label


def answered(database: Database, solver: str, name: str, given: str | None) -> str | None:
    (task,) = [task for task in lease_next(database, solver=solver, n=50) if task.external_id == name]
    return answer(database, task.lease_id, answer=given, reason="seen").outcome


def test_what_a_stage_accepts_is_graduated_and_passes_the_checks_of_exports(
    database: Database, pets: Dataset
) -> None:
    from hiveguard_pipeline.expectations import judge_labels

    staged(database, {"name": "look", "who": "experts", "gate": {"class": ["cow"]}})
    voted(database, pets, {"a": "ooo", "b": "ddd"})
    add_people(database, "pets", "experts", ["ann"], actor="lead")
    advance(database, "pets")
    assert waiting(database, "look") == ["a"]
    with database.read() as connection:
        (flagged,) = list_flagged(connection, pets)
    assert (flagged.reason, flagged.stage, flagged.label) == ("held", "look", "cow")
    assert answered(database, "ann", "a", "cat") == "pass"
    assert state(database, "a") == ("graduated", "cat")
    assert [entry for entry in judge_labels(database, pets) if not entry.passed] == []
    with database.write() as connection:  # the check still sees what nobody accepted
        connection.execute(sa.text("UPDATE labels SET state = 'graduated' WHERE label = 'dog'"))
    failed = [entry.name for entry in judge_labels(database, pets) if not entry.passed]
    assert failed == ["graduated_is_earned"]


def test_a_gate_by_disagreement_and_confidence_takes_what_both_say(database: Database, pets: Dataset) -> None:
    staged(
        database,
        {"name": "look", "who": "experts", "gate": {"disagreement": "0.3", "confidence": {"below": "0.7"}}},
    )
    voted(database, pets, {"split": "ccd", "clear": "ccc", "mended": "ccdcc"})
    advance(database, "pets")
    assert waiting(database, "look") == ["split"]


def test_a_gate_by_probability_reads_the_calibrated_one(database: Database, pets: Dataset) -> None:
    staged(database, {"name": "look", "who": "experts", "gate": {"probability": {"below": "0.8"}}})
    voted(database, pets, {"a": "ccc", "b": "ccc", "c": "ccc"})
    with database.write() as connection:
        for name, probability in (("a", 790_000), ("b", 800_000)):
            connection.execute(
                t.labels.update()
                .where(t.labels.c.item_id == item_uuid("pets", name))
                .values(probability=probability)
            )
    advance(database, "pets")
    assert waiting(database, "look") == ["a"]


@pytest.mark.parametrize(("threshold", "skipped"), [("0.1", True), ("0.99", False)])
def test_a_dataset_whose_people_agree_skips_the_review_gate(
    database: Database, pets: Dataset, threshold: str, skipped: bool
) -> None:
    stages, settings = stages_of_quality({"agreement_threshold": threshold, "review_gate": "true"})
    set_workflow(database, "pets", stages, settings=settings, **WHO)
    add_items(database, pets, [f"i{n}" for n in range(6)])
    with database.write() as connection:
        for number in range(6):
            for solver in range(7):
                right = "cat" if number % 2 else "dog"
                wrong = solver == 6 and number == 5
                connection.execute(
                    t.votes.insert().values(
                        item_id=item_uuid("pets", f"i{number}"),
                        solver_id=f"s{solver}",
                        answer="cow" if wrong else right,
                    )
                )
    apply_votes(database, "pets", run_id="r")
    advance(database, "pets")
    assert (waiting(database, "review_gate") == []) == skipped
    assert (state(database, "i0")[0] == "graduated") == skipped


def proposal(
    database: Database, dataset: Dataset, name: str, label: str, probability: int, blind: bool
) -> None:
    with database.write() as connection:
        model = connection.execute(sa.select(t.models.c.model_id)).scalar()
        if model is None:
            key = connection.execute(
                t.models.insert().values(
                    dataset_id=dataset.dataset_id,
                    kind="k",
                    name="m",
                    file="f",
                    file_sha256="0",
                    classes=[],
                    features={},
                    schema_version=1,
                    ledger_position=0,
                    labels_used=0,
                    held_out=0,
                    accepted=True,
                    reason="r",
                    metrics={},
                    created_at=now_text(),
                )
            ).inserted_primary_key
            assert key is not None
            model = key[0]
        connection.execute(
            t.prelabels.insert().values(
                item_id=item_uuid("pets", name),
                dataset_id=dataset.dataset_id,
                model_id=model,
                answer=label,
                probability=probability,
                blind=blind,
                created_at=now_text(),
            )
        )


def test_a_model_answers_where_it_is_sure_and_never_votes(database: Database, pets: Dataset) -> None:
    stages = [
        {
            "name": "model",
            "who": "model",
            "agreement": {"probability": "0.9"},
            "on_pass": "again",
            "on_fail": "first",
        },
        *CROWD,
    ]
    set_workflow(database, "pets", parse_stages(stages), **WHO)
    add_items(database, pets, ["sure", "unsure", "blind", "none", "odd"])
    proposal(database, pets, "sure", "cat", 900_000, False)
    proposal(database, pets, "unsure", "cat", 899_999, False)
    proposal(database, pets, "blind", "cat", 990_000, True)
    proposal(database, pets, "odd", "hippo", 990_000, False)
    advance(database, "pets")
    assert waiting(database, "model") == ["none"]
    assert state(database, "sure") == ("in_revalidation", "cat")
    assert state(database, "unsure") == ("unlabeled", None)
    assert state(database, "blind") == ("unlabeled", None)
    assert state(database, "odd") == ("unlabeled", None)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(t.votes)).scalar_one() == 0
    cast(database, pets, [("sure", "cat")] * 4 + [("sure", "dog")] * 2)
    apply_votes(database, "pets", run_id="r")
    assert verify(database, "pets").findings == []


def test_kappa_of_a_stage_decides_with_its_answers(database: Database, pets: Dataset) -> None:
    stages = [
        {
            "name": "label",
            "who": "annotators",
            "answers": "2",
            "agreement": {"kappa": "0.6"},
            "on_pass": "done",
            "on_fail": "expert",
        },
        {"name": "expert", "who": "experts"},
    ]
    set_workflow(database, "pets", parse_stages(stages), **WHO)
    add_people(database, "pets", "annotators", ["max", "moe"], actor="lead")
    add_items(database, pets, ["a", "b", "c", "d"])
    advance(database, "pets")
    outcomes = []
    for name, one, other in (
        ("a", "cat", "cat"),
        ("b", "dog", "dog"),
        ("c", "cat", "dog"),
        ("d", "cat", "cat"),
    ):
        answered(database, "max", name, one)
        outcomes.append(answered(database, "moe", name, other))
        # What was not answered goes back, so that the next one can be taken.
        with database.write() as connection:
            connection.execute(
                t.leases.update().where(t.leases.c.ended_at.is_(None)).values(expires_at=LONG_AGO)
            )
    # a: one class, no kappa yet; b: kappa 1; c: they differ; d: they agree, but the stage has 0.467 by then.
    assert outcomes == ["pass", "pass", "fail", "fail"]
    assert waiting(database, "expert") == ["c", "d"]


def test_time_runs_out_in_the_pool_too(database: Database, pets: Dataset) -> None:
    stages = [
        {**CROWD[0], "timeout": "1", "on_timeout": "review"},
        {**CROWD[1], "timeout": "2.5", "on_timeout": "review"},
        CROWD[2],
    ]
    set_workflow(database, "pets", parse_stages(stages), **WHO)
    voted(database, pets, {"old": "ccc", "fresh": "ccc", "forgotten": "", "new": ""})
    with database.write() as connection:
        for table, name, when in (
            (t.labels, "fresh", now_text()),
            (t.labels, "old", LONG_AGO),
            (t.items, "forgotten", LONG_AGO),
        ):
            connection.execute(
                table.update().where(table.c.item_id == item_uuid("pets", name)).values(created_at=when)
            )
    advance(database, "pets")
    assert waiting(database, "review") == ["forgotten", "old"]
    assert state(database, "old") == ("needs_review", "cat")
    assert advance(database, "pets").moved == 0


def test_a_changed_workflow_leaves_finished_items_and_says_what_open_ones_do(
    database: Database, pets: Dataset
) -> None:
    staged(
        database,
        {"name": "look", "who": "experts", "gate": {"confidence": {"below": "0.7"}}, "on_pass": "again"},
    )
    voted(database, pets, {"done": "ccccccc", "held": "ccd", "flagged": "ccdddd"})
    advance(database, "pets")
    assert (waiting(database, "look"), waiting(database, "review")) == (["held"], ["flagged"])
    after = parse_stages(
        [*CROWD, {"name": "spot", "who": "experts", "gate": {"state": "graduated"}, "on_pass": "done"}]
    )
    tried = set_workflow(database, "pets", after, dry_run=True, **WHO)
    assert waiting(database, "look") == ["held"]
    made = set_workflow(database, "pets", after, **WHO)
    assert tried.open_items == made.open_items == {("look", "review"): 1, ("review", "review"): 1}
    assert waiting(database, "review") == ["flagged", "held"]
    assert advance(database, "pets").moved == 0
    assert state(database, "done")[0] == "graduated"
    assert set_workflow(database, "pets", after, **WHO).workflow_id is None
    voted(database, pets, {"new": "ccccccc"})
    advance(database, "pets")
    assert waiting(database, "spot") == ["new"]
    assert verify(database, "pets").findings == []


def test_an_undone_decision_brings_an_item_back_into_its_stage(database: Database, pets: Dataset) -> None:
    staged(database, {"name": "look", "who": "experts", "gate": {"class": ["cow"]}})
    voted(database, pets, {"a": "ooo"})
    add_people(database, "pets", "experts", ["ann"], actor="lead")
    advance(database, "pets")
    answered(database, "ann", "a", "cow")
    assert state(database, "a") == ("graduated", "cow")
    undo(database, "a", dataset_name="pets", **REVIEWER)
    assert state(database, "a") == ("needs_review", "cow")
    advance(database, "pets")
    assert waiting(database, "look") == ["a"]
    correct(database, "a", "cat", dataset_name="pets", **REVIEWER)
    assert (waiting(database, "look"), state(database, "a")) == ([], ("in_revalidation", "cat"))
    with database.read() as connection:
        ways = [
            (way["from_stage"], way["outcome"], way["to_stage"])
            for way in transitions_of(connection, pets, "a")
        ]
    assert ways == [
        (None, "gate", "look"),
        ("look", "pass", "done"),
        (None, "undone", "look"),
        ("look", "decided", "again"),
    ]


def test_numbers_of_the_crowd_become_the_policy_and_a_quorum_needs_its_people(
    database: Database, pets: Dataset
) -> None:
    stages = parse_stages(
        [{**CROWD[0], "answers": "4"}, *CROWD[1:2], {**CROWD[2], "answers": "2", "on_fail": "again"}]
    )
    made = set_workflow(database, "pets", stages, **WHO)
    assert (made.settings, made.unlisted) == ({"CONSENSUS_THRESHOLD": "4"}, ("experts",))
    with database.read() as connection:
        recorded = current_policy(connection, pets)
    assert (recorded.policy.consensus_threshold, recorded.actor) == (4, "lead")
    add_people(database, "pets", "experts", ["ann"], actor="lead")
    other = parse_stages([*CROWD[:2], {**CROWD[2], "answers": "2", "on_fail": "again", "on_pass": "done"}])
    with pytest.raises(StageError, match="wants 2 of the experts, and there are 1") as refused:
        set_workflow(database, "pets", other, **WHO)
    assert refused.value.key == "stages.2.answers"
    remove_people(database, "pets", "experts", ["ann"], actor="lead")


def test_the_drawing_names_every_stage_and_way(database: Database, pets: Dataset) -> None:
    staged(
        database,
        {"name": "look", "who": "experts", "gate": {"random": "0.5"}, "timeout": "3", "on_timeout": "again"},
    )
    voted(database, pets, {"a": "ccc", "b": "ccdddd", "c": "ccccccc"})
    advance(database, "pets")
    with database.read() as connection:
        stages = parse_stages([*CROWD])
        items = items_in(connection, pets, stages)
        policy = current_policy(connection, pets).policy
    text = drawing(stages, items, policy)
    for word in ("[first]", "[again]", "[review]", "[done]", "pass --> again", "fail --> review"):
        assert word in text
    assert sum(items.values()) == 3
    assert picture(stages, items).startswith("![stages](data:image/svg+xml;base64,")


def test_exports_leave_out_what_stages_hold(database: Database, pets: Dataset) -> None:
    staged(database, {"name": "look", "who": "experts", "gate": {"class": ["cow"]}})
    voted(database, pets, {"a": "ooo", "b": "ddd"})
    advance(database, "pets")
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT label FROM finalized_labels")).scalars().all()
    assert rows == ["dog"]
