"""A dataset's life, told to a table and to the oracle at once: votes, runs, reviews, undos, new policies."""

from random import Random

from hypothesis import strategies as st

from hiveguard_pipeline.rules.policy import Policy

from . import oracle
from .crowds import policies
from .table import Table


class Session:
    def __init__(self, items: int, policies: list[Policy], classes: int) -> None:
        self.table = Table.of(items, policies)
        self.items = [oracle.Item(policies[0]) for _ in range(items)]
        self.classes = classes

    def __repr__(self) -> str:
        return f"Session({len(self.items)} items, {self.classes} classes, {self.table.policies})"

    def run(self) -> None:
        self.table.run()
        for item in self.items:
            item.apply()

    def change_policy(self, policy: int) -> None:
        self.table.policy = policy
        for item in self.items:
            item.policy_changed(self.table.policies[policy])

    def vote(self, at: int, vote_id: int, answer: int) -> None:
        self.table.vote(at, vote_id, answer)
        self.items[at].vote(vote_id, answer)

    def review(self, at: int, decision: str, label: int) -> None:
        item = self.items[at]
        if decision == "undo":
            if item.decided_from:
                item.undo()
                self.table.undo(at)
        elif decision == "relabel":
            item.relabel(label)
            self.table.review(at, "relabel", label)
        elif decision == "discard" or item.now.label is not None:
            getattr(item, decision)()
            self.table.review(at, decision)


def _reviewed(random: Random, item: oracle.Item) -> bool:
    """Flagged and contested items mostly; now and then one that somebody corrects, or thinks again about."""
    contested = item.now.label is None and len(item.votes) >= oracle.rules_of(item.policy).min_total
    wanted = item.now.state == "needs_review" or contested or item.decided_from
    return random.random() < (0.6 if wanted else 0.05)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    several = draw(st.lists(policies(thresholds=(1, 2, 3, 3, 4, 5)), min_size=1, max_size=3, unique=True))
    count = draw(st.integers(1, 25))
    classes = draw(st.integers(1, 4))
    skill = draw(st.sampled_from([0.0, 0.3, 0.8]))
    session = Session(count, several, classes)
    for seed in draw(st.lists(st.integers(0, 2**32), min_size=1, max_size=6)):
        play(session, Random(seed), skill)
    return session


def play(session: Session, random: Random, skill: float) -> None:
    """One day: perhaps another policy, votes in any order, a run, then reviews, and perhaps a run again."""
    if random.random() < 0.3:
        session.change_policy(random.randrange(len(session.table.policies)))
    for at in random.choices(range(len(session.items)), k=random.randrange(10 * len(session.items))):
        session.table.newest_vote += random.randint(2, 4)
        truth = at % session.classes
        answer = truth if random.random() < skill else random.randrange(session.classes)
        session.vote(at, session.table.newest_vote, answer)
    if random.random() < 0.8:
        session.run()
    for at, item in enumerate(session.items):
        while _reviewed(random, item):
            decision = random.choice(["confirm", "relabel", "relabel", "discard", "undo", "undo"])
            session.review(at, decision, random.randrange(session.classes + 1))
    if random.random() < 0.3:
        session.run()
