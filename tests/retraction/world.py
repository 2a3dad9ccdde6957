"""A dataset's life with solvers who come and go: told to the store and to the plain reading at once."""

import uuid
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.audit import verify, verify_events
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction import Effect, exclude, restore, withdraw
from hiveguard_pipeline.review import correct, decide, list_flagged, undo
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, current_policy, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.status import vote_counts
from hiveguard_pipeline.store.tables import item_uuid
from tests.retraction.plain import Counted, Given
from tests.store.voting import add_items

WHO = {"actor": "lead", "reason": "a test"}
REVIEWER = {"reviewer": "ann", "reason": "looked at it"}
ANSWERS = "xyz"
WORLDS_IN_ONE = 8

SMALL = {"REVALIDATION_MIN_TOTAL_VOTES": "6", "REVALIDATION_MIN_VOTES": "2"}
POLICIES = [
    SMALL,
    {"REVALIDATION_MIN_VOTES": "1", "REVALIDATION_CONFIDENCE_THRESHOLD": "0.7"},
    {"CONSENSUS_THRESHOLD": "2", "REVALIDATION_DELTA": "0.123457"},
    {"CONSENSUS_THRESHOLD": "4", "REVALIDATION_MIN_VOTES": "3", "REVALIDATION_EXIT_CONFIDENCE": "0.8"},
]

Vote = tuple[str, str, str]
"""external_id, solver, answer."""


def put(database: Database, dataset: Dataset, votes: list[Vote]) -> None:
    """Votes as the challenge server puts them."""
    if not votes:
        return
    with database.write() as connection:
        connection.execute(
            t.votes.insert(),
            [
                {"item_id": item_uuid(dataset.name, name), "solver_id": solver, "answer": answer}
                for name, solver, answer in votes
            ],
        )


def new_dataset(
    database: Database, policy: Policy | None = None, classes: tuple[str, ...] | None = None
) -> Dataset:
    return create_dataset(database, f"d{uuid.uuid4().hex}", policy or Policy(), classes=classes)


def contents(database: Database) -> list[Any]:
    """All that a command could have changed."""
    with database.read() as connection:
        return [
            connection.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in t.metadata.sorted_tables
        ]


def databases(new: Callable[[], str]) -> Iterator[Database]:
    """A database for each world: several stand in one, and then comes the next.

    Worlds look at all that is in their database, so that the hundredth in one would cost many times the
    first. new: makes an empty one.
    """
    while True:
        yield from [open_database(new())] * WORLDS_IN_ONE


class World:
    kinds = (
        ("votes",) * 3
        + ("run",) * 2
        + ("retract",) * 4
        + ("withdraw",)
        + ("review",) * 4
        + ("policy", "gold")
    )

    def __init__(
        self,
        database: Database,
        seed: int,
        items: int = 6,
        solvers: int = 12,
        classes: tuple[str, ...] | None = None,
    ) -> None:
        self.database, self.random = database, Random(seed)
        self.dataset = new_dataset(database, Policy().replaced(SMALL), classes)
        self.names = [f"i{number}" for number in range(items)]
        self.solvers = [f"s{number}" for number in range(solvers)]
        add_items(database, self.dataset, self.names)
        with database.read() as connection:
            self.policy = current_policy(connection, self.dataset).policy
        self.items = {name: Counted(self.policy) for name in self.names}
        self.excluded: set[str] = set()
        self.free = [(name, solver) for name in self.names for solver in self.solvers]
        self.random.shuffle(self.free)
        self.done: list[str] = []

    def play(self, steps: int) -> None:
        for _ in range(steps):
            kind = self.random.choice(self.kinds)
            getattr(self, f"_{kind}")()
            if kind != "votes":
                self.check()

    def _votes(self) -> None:
        drawn = [self.free.pop() for _ in range(min(len(self.free), self.random.randrange(1, 15)))]
        votes = [
            (name, solver, ANSWERS[int(name[1:]) % 3] if self.random.random() < 0.6 else self._answer())
            for name, solver in drawn
        ]
        put(self.database, self.dataset, votes)
        self._read_votes()

    def _read_votes(self) -> None:
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(t.items.c.external_id, t.votes)
                .join(t.items, t.items.c.item_id == t.votes.c.item_id)
                .where(t.items.c.dataset_id == self.dataset.dataset_id)
                .order_by(t.votes.c.vote_id)
            ).all()
        for item in self.items.values():
            item.votes = []
        for row in rows:
            vote = (row.vote_id, row.solver_id, self._code(row.answer))
            self.items[row.external_id].votes.append(vote)

    def _answer(self) -> str:
        return self.random.choice(ANSWERS)

    def _code(self, answer: str) -> int:
        """What the plain reading calls an answer or label."""
        return ANSWERS.index(answer)

    def _name(self, code: int) -> str:
        return ANSWERS[code]

    def _run(self) -> None:
        apply_votes(self.database, self.dataset.name, run_id="run", everything=self.random.random() < 0.3)
        for item in self.items.values():
            item.run()

    def _policy(self) -> None:
        set_policy(self.database, self.dataset.name, self.random.choice(POLICIES), actor="t", reason="t")
        with self.database.read() as connection:
            self.policy = current_policy(connection, self.dataset).policy
        for item in self.items.values():
            item.policy_changed(self.policy)
        self._run()

    def _gold(self) -> None:
        if self.random.random() < 0.7:
            return
        name = self.random.choice(self.names)
        with self.database.write() as connection:
            for statement in (
                "UPDATE items SET gold_label = :gold WHERE item_id = :item",
                "UPDATE labels SET state = 'gold', needs_review = false WHERE item_id = :item",
            ):
                names = {"item": item_uuid(self.dataset.name, name), "gold": self._name(self._code("x"))}
                used = {key: value for key, value in names.items() if f":{key}" in statement}
                connection.execute(sa.text(statement), used)
        self.items[name].gold = True

    def _retract(self) -> None:
        back = self.excluded and self.random.random() < 0.5
        voted = {solver for item in self.items.values() for _, solver, _ in item.votes}
        among = sorted(self.excluded if back else voted - self.excluded)
        if not among:
            return
        chosen = self.random.sample(among, min(len(among), self.random.randint(1, 3)))
        act = restore if back else exclude
        before = contents(self.database)
        tried = act(self.database, self.dataset.name, chosen, dry_run=True, **WHO)
        assert contents(self.database) == before
        done = act(self.database, self.dataset.name, chosen, **WHO)
        assert _counts(done) == _counts(tried)
        self.excluded ^= set(chosen)
        for item in self.items.values():
            item.retract(set(chosen), self.excluded)
        self.done.append("restore" if back else "exclude")

    def _withdraw(self) -> None:
        there = [vote_id for item in self.items.values() for vote_id, _, _ in item.votes]
        if not there:
            return
        chosen = self.random.sample(there, min(len(there), self.random.randint(1, 3)))
        before = contents(self.database)
        tried = withdraw(self.database, self.dataset.name, chosen, dry_run=True, **WHO)
        assert contents(self.database) == before
        done = withdraw(self.database, self.dataset.name, chosen, **WHO)
        assert _counts(done) == _counts(tried)
        for item in self.items.values():
            item.withdraw(set(chosen) & {vote_id for vote_id, _, _ in item.votes})
        self.done.append("withdraw")

    def _review(self) -> None:
        name = self.random.choice(self.names)
        where = {"dataset_name": self.dataset.name, **REVIEWER}
        act = self.random.choice(["confirm", "relabel", "discard", "correct", "undo", "undo"])
        label = self._answer()
        item = self.items[name]
        try:
            if act == "undo":
                undo(self.database, name, **where)
            elif act == "correct":
                correct(self.database, name, label, **where)
            else:
                decide(self.database, name, act, label=label, **where)
        except BadInputError:
            assert act != "undo" or not item.can_undo or item.gold
            return
        if act == "undo":
            self.done.append("undo of a restated" if item.restates else act)
            self._left(name)
            self._undone(name, item.undo())
        else:
            decision = "relabel" if act == "correct" else act
            self._left(name)
            item.decide(decision, self._code(label))
            self.done.append(act)

    def _left(self, name: str) -> None:
        """A decision of a lead ends the stage in which an item waits."""
        self.items[name].waits = False

    def _undone(self, name: str, undone: Given) -> None:
        """A lead took a decision back."""

    def check(self) -> None:
        """The ledger replays, every vote is accounted for, and labels are those of the plain reading."""
        assert verify(self.database, self.dataset.name).findings == []
        assert verify_events(self.database, self.dataset.name).findings == []
        with self.database.read() as connection:
            counts = vote_counts(connection, self.dataset)
            rows = connection.execute(
                sa.text("SELECT * FROM item_status WHERE dataset_id = :dataset"),
                {"dataset": self.dataset.dataset_id},
            ).all()
            flagged = {item.item_id for item in list_flagged(connection, self.dataset)}
            assert flagged == looked_for(connection, self.dataset)
        assert counts["received"] == sum(len(item.votes) for item in self.items.values())
        assert counts["received"] == counts["applied"] + counts["unprocessed"] + counts["excluded"]
        for row in rows:
            item = self.items[row.external_id]
            if item.gold:
                assert row.state == "gold"
                continue
            now = item.item.now
            assert (
                row.label,
                row.confidence,
                row.state,
                row.vote_count,
                row.revalidation_vote_count,
                row.revalidation_epochs,
                row.applied_through,
                row.generation,
            ) == (
                None if now.label is None else self._name(now.label),
                None if now.confidence is None else int(now.confidence * ONE),
                now.state,
                now.vote_count,
                now.revalidation_vote_count,
                item.item.epochs,
                item.item.applied_through,
                item.generation,
            ), row.external_id


def _counts(effect: Effect) -> tuple[object, ...]:
    return tuple(getattr(effect, name) for name in Effect.__slots__ if name != "dry_run")


def looked_for(connection: sa.Connection, dataset: Dataset) -> set[str]:
    """The items that people must decide, found among all: labels under the floor, and no majority."""
    least = current_policy(connection, dataset).policy.revalidation_min_total_votes
    rows = connection.execute(
        sa.text(
            "SELECT s.item_id FROM item_status s WHERE s.dataset_id = :dataset AND (s.state = 'needs_review'"
            " OR s.state = 'unlabeled' AND (SELECT count(*) FROM vote_status v WHERE v.item_id = s.item_id"
            " AND NOT v.excluded AND v.vote_id <= (SELECT p.folded_through FROM dataset_progress p"
            " WHERE p.dataset_id = s.dataset_id)) >= :least)"
        ).columns(item_id=t.Uuid),
        {"dataset": dataset.dataset_id, "least": least},
    )
    return {str(item) for item in rows.scalars()}
