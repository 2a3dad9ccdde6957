"""Whatever people do between two pulls, the votes that count afterwards are what the server says."""

from dataclasses import replace
from random import Random

import pytest

from hiveguard_pipeline.audit import verify, verify_events
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.labelstudio.following import Followed, follow
from hiveguard_pipeline.labelstudio.held import Held, held_tasks, hold
from hiveguard_pipeline.labelstudio.known import PREFIX, known_annotations
from hiveguard_pipeline.labelstudio.projects import only_one
from hiveguard_pipeline.labelstudio.proposal_report import proposal_report
from hiveguard_pipeline.labelstudio.seen import Look, Seen
from hiveguard_pipeline.labelstudio.standing import given_votes
from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, lock_dataset, now_text
from hiveguard_pipeline.store.exclusions import list_exclusions
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items

CLASSES = ("cat", "dog")
ITEMS = "abc"
PEOPLE = ("ada", "bob", "eve")


class Project:
    """What a server would say, and pulls of it into a store."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dataset: Dataset = create_dataset(database, "pets", Policy(), classes=CLASSES)
        self.items = add_items(database, self.dataset, ITEMS)
        self.tasks = {name: number for number, name in enumerate(ITEMS, start=1)}
        with database.write() as connection:
            hold(
                connection,
                self.dataset,
                [
                    Held(self.items[name], task, "all", None, None, None, False, now_text())
                    for name, task in self.tasks.items()
                ],
            )
        self.live: dict[int, Seen] = {}
        self.changed: set[int] = set()
        self.clock = 0
        self.answers = 0

    def moment(self) -> str:
        self.clock += 1
        return f"2026-11-20T12:{self.clock // 60 % 60:02}:{self.clock % 60:02}.000000Z"

    def answer(self, name: str, person: str, answer: str | None) -> int:
        """answer: None for a result that is none."""
        self.answers += 1
        number, moment = self.answers, self.moment()
        fault = None if answer is not None else "label_studio_no_choice"
        proposal = CLASSES[number % 3] if number % 3 < 2 else None
        self.live[number] = Seen(
            number, self.tasks[name], self.items[name], person, answer, fault, (), proposal, 1500, moment,
            moment, f'{{"id": {number}, "at": "{moment}"}}',
        )  # fmt: skip
        self.changed.add(self.tasks[name])
        return number

    def change(self, number: int, answer: str | None) -> None:
        moment = self.moment()
        fault = None if answer is not None else "label_studio_no_choice"
        self.live[number] = replace(
            self.live[number],
            answer=answer,
            fault=fault,
            updated_at=moment,
            raw=f'{{"id": {number}, "at": "{moment}"}}',
        )
        self.changed.add(self.live[number].task_id)

    def delete(self, number: int) -> None:
        self.changed.add(self.live.pop(number).task_id)

    def pull(self, full: bool = False) -> Followed:
        tasks = set(self.tasks.values()) if full else set(self.changed)
        look = Look(tasks, [one for one in self.live.values() if one.task_id in tasks], is_full=full)
        with self.database.write() as connection:
            dataset = lock_dataset(connection, "pets")
            known, held = known_annotations(connection, dataset), held_tasks(connection, dataset)
            done = follow(connection, dataset, look, known, held, "the project")
        self.changed.clear()
        return done

    def expected(self) -> dict[tuple[str, str], str]:
        """Of each person and item: their oldest annotation that names a class."""
        found: dict[tuple[str, str], str] = {}
        for _, one in sorted(self.live.items()):
            if one.answer in CLASSES:
                found.setdefault((one.item_id, PREFIX + str(one.person)), str(one.answer))
        return found

    def standing(self) -> dict[tuple[str, str], str]:
        with self.database.look() as connection:
            given = given_votes(connection, list(self.items.values()))
        found = {}
        for person, votes in given.items():
            left = [vote.answer for vote in votes if not vote.withdrawn]
            assert len(left) <= 1
            if left:
                found[person] = left[0]
        return found


@pytest.mark.parametrize("seed", [1, 2])
def test_any_mix_of_what_people_do(database: Database, seed: int) -> None:
    random = Random(seed)
    project = Project(database)
    for _ in range(14):
        for _ in range(random.randrange(1, 6)):
            act = random.random()
            answer = random.choice([*CLASSES, *CLASSES, "wolf", None])
            if act < 0.55 or not project.live:
                project.answer(random.choice(ITEMS), random.choice(PEOPLE), answer)
            elif act < 0.8:
                project.change(random.choice(sorted(project.live)), answer)
            else:
                project.delete(random.choice(sorted(project.live)))
        project.pull(full=random.random() < 0.3)
        assert project.standing() == project.expected()
        if random.random() < 0.5:
            apply_votes(database, "pets", run_id="run")
        done = project.pull(full=random.random() < 0.5)
        assert (done.votes, done.withdrawn, done.deleted, dict(done.quarantined)) == (0, 0, 0, {})
    apply_votes(database, "pets", run_id="last")
    assert verify(database, "pets").findings == []
    assert verify_events(database).findings == []
    with database.look() as connection:
        known = known_annotations(connection, project.dataset)
        told = proposal_report(connection, project.dataset)
    winners: dict[tuple[str, str], Seen] = {}
    for _, one in sorted(project.live.items()):
        if one.answer in CLASSES:
            winners.setdefault((one.item_id, str(one.person)), one)
    assert {row.annotation_id for row in known.values() if row.vote_id is not None} == {
        one.annotation_id for one in winners.values()
    }
    shown = [one for one in winners.values() if one.proposal is not None]
    assert (told.shown.answers, told.blind.answers) == (len(shown), 0)
    followed = sum(one.answer == one.proposal for one in shown)
    assert told.shown.followed.value == (followed / len(shown) if shown else None)
    assert {number for number, row in known.items() if row.deleted_at is None} == set(project.live)


def test_a_changed_answer_of_an_excluded_person_stays_out(database: Database) -> None:
    project = Project(database)
    number = project.answer("a", "ada", "cat")
    project.pull()
    exclude(database, "pets", [f"{PREFIX}ada"], actor="t", reason="a bot")
    project.change(number, "dog")
    assert project.pull().revised == 1
    with database.look() as connection:
        excluded = {one.solver_id for one in list_exclusions(connection, project.dataset)}
    assert excluded == {f"{PREFIX}ada", f"{PREFIX}ada~2"}
    assert verify_events(database).findings == []


def test_one_push_or_pull_at_a_time(database: Database, dataset: Dataset) -> None:
    other = create_dataset(database, "pets", Policy())
    busy = pytest.raises(HiveGuardError, match="of animals is under way")
    with only_one(database, dataset), only_one(database, other), busy, only_one(database, dataset):
        pass
    with only_one(database, dataset):
        pass
