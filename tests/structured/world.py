"""A structured dataset's life: votes, runs, reviews, retractions, policies, in the store and read plainly.

The sessions are those of the retraction tests; what agreeing means, and what a first label is, is read here
by the plain oracle of structured answers.
"""

import json
import uuid
from fractions import Fraction
from random import Random

import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.structured.answer import canonical
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset, current_policy
from tests.retraction import world
from tests.retraction.plain import Counted
from tests.rules import oracle, structured_oracle
from tests.store.voting import add_items

BOXES = [
    '{"boxes":[{"label":"car","bbox":[0,0,10,10]}]}',
    '{"boxes":[{"label":"car","bbox":[2.5,0,10,10]},{"label":"dog","bbox":[50,50,9,9]}]}',
    '{"boxes":[]}',
    '{"boxes":[{"label":"bus","bbox":[1,0,10,10]}]}',
    '{"boxes":[{"label":"dog","bbox":[50.5,50,9,9.5]}],"classes":["night"]}',
    "no answer at all",
]
SPANS = [
    '{"spans":[{"start":0,"end":3,"label":"PER"}]}',
    '{"spans":[{"start":0,"end":3,"label":"PER"},{"start":5,"end":9,"label":"ORG"}]}',
    '{"spans":[]}',
    '{"spans":[{"start":0,"end":4,"label":"PER"},{"start":5,"end":9,"label":"ORG"}]}',
    '{"spans": [',
]
GIVEN = {"bbox": BOXES, "ner": SPANS}


class Texts(list[str]):
    """Answers and labels by code; only the answers are drawn."""

    def __init__(self, given: list[str]) -> None:
        super().__init__(given)
        self.given = len(given)

    def __len__(self) -> int:
        return self.given

    def code(self, text: str) -> int:
        if text not in list(self):
            self.append(text)
        return self.index(text)


class Item(oracle.Item):
    """An item of a structured dataset."""

    texts: Texts
    part: str

    def agree(self, votes: list[oracle.Vote], label: int) -> int:
        return sum(structured_oracle.agrees(self.texts[vote.answer], self.texts[label]) for vote in votes)

    def first_pass(self) -> bool:
        n = oracle.rules_of(self.policy).threshold
        if len(self.votes) < n:
            return False
        taken = self.votes[:n]
        label, share = structured_oracle.consensus([self.texts[vote.answer] for vote in taken], self.part)
        code = self.texts.code(canonical(json.dumps(label)))
        confidence = oracle.rounded(share)
        agree = self.agree(taken, code)
        state = oracle.judged(confidence, n, oracle.rules_of(self.policy))
        self._write("first_pass", taken, agree, n - agree, oracle.Standing(code, confidence, state, n))
        self.decided_from.clear()
        return True

    def batch(self) -> bool:
        rules = oracle.rules_of(self.policy)
        taken = self.votes[self.applied : self.applied + rules.batch]
        if self.now.state != "in_revalidation" or len(taken) < rules.batch:
            return False
        assert self.now.confidence is not None
        assert self.now.label is not None
        agree = self.agree(taken, self.now.label)
        confidence = self.now.confidence + (2 * agree - rules.batch) * rules.delta
        confidence = min(max(confidence, Fraction(0)), Fraction(1))
        after = self.now._replace(
            confidence=confidence,
            state=oracle.judged(confidence, self.applied + rules.batch, rules),
            revalidation_vote_count=self.now.revalidation_vote_count + rules.batch,
        )
        self._write("revalidation", taken, agree, rules.batch - agree, after)
        self.decided_from.clear()
        return True

    def _relabelled(self, decision: str, label: int) -> None:
        taken = [] if self.now.label is not None else list(self.votes)
        counted = [*self.votes[: self.applied], *taken]
        agree = self.agree(counted, label)
        floor = oracle.rules_of(self.policy).floor
        share = oracle.rounded(Fraction(agree, len(counted))) if counted else floor
        count = self.now.vote_count + len(taken)
        after = oracle.Standing(
            label, max(share, floor), "in_revalidation", count, self.now.revalidation_vote_count
        )
        self.decided_from.append(self.now)
        self._write("review", taken, agree, len(counted) - agree, after, decision)


def counted_item(texts: Texts, part: str, policy: Policy) -> Counted:
    class Own(Item):
        pass

    Own.texts, Own.part = texts, part

    class Structured(Counted):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.item = Own(self.policy)

        def begin(self) -> None:
            self.generation += 1
            self.item = item = Own(self.policy)
            item.votes = self.counting()
            self.undoable.clear()
            self.opened_through = 0
            if self.standing:
                newest = self.standing[-1]
                self.opened_through = newest.through
                taken = [vote for vote in item.votes if vote.vote_id <= newest.through]
                state = "discarded" if newest.decision == "discard" else "in_revalidation"
                confidence = None
                if newest.label is not None:
                    floor = oracle.rules_of(self.policy).floor
                    agree = item.agree(taken, newest.label)
                    confidence = max(oracle.rounded(Fraction(agree, len(taken))), floor) if taken else floor
                item.now = oracle.Standing(newest.label, confidence, state, len(taken), 0)
                self.undoable.append(newest)
            self.run()

    return Structured(policy)


class StructuredWorld(world.World):
    def __init__(self, database: Database, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.database, self.random = database, Random(seed)
        task = self.random.choice(["bbox", "ner"])
        texts = Texts([canonical(text) if text.endswith("}") else text for text in GIVEN[task]])
        patch.setattr(world, "ANSWERS", texts)
        self.dataset = create_dataset(
            database, f"d{uuid.uuid4().hex}", Policy().replaced(world.SMALL), task_type=task
        )
        self.names = [f"i{number}" for number in range(5)]
        self.solvers = [f"s{number}" for number in range(12)]
        add_items(database, self.dataset, self.names)
        with database.read() as connection:
            self.policy = current_policy(connection, self.dataset).policy
        part = {"bbox": "boxes", "ner": "spans"}[task]
        self.items = {name: counted_item(texts, part, self.policy) for name in self.names}
        self.excluded: set[str] = set()
        self.free = [(name, solver) for name in self.names for solver in self.solvers]
        self.random.shuffle(self.free)
        self.done: list[str] = []
        self.texts = texts

    def _answer(self) -> str:
        return self.random.choice(self.texts)

    def _code(self, answer: str) -> int:
        return self.texts.index(answer) if answer in list(self.texts) else 0

    def _name(self, code: int) -> str:
        return self.texts[code]
