"""The design's retraction, read one item at a time: what generations begin with, in fractions.

Built on the plain reading of the rules; nothing of the library is used.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from hiveguard_pipeline.rules.policy import Policy
from tests.rules import oracle


@dataclass(eq=False)
class Given:
    """A decision that a person took, and the newest vote that counted as processed then."""

    decision: str
    label: int | None
    through: int
    generation: int


@dataclass
class Counted:
    """An item with all its votes, some of whose solvers are excluded, and the decisions on it."""

    policy: Policy
    votes: list[tuple[int, str, int]] = field(default_factory=list)
    """vote_id, solver, answer."""
    excluded: set[str] = field(default_factory=set)
    withdrawn: set[int] = field(default_factory=set)
    standing: list[Given] = field(default_factory=list)
    """The decisions that are not undone."""
    generation: int = 1
    gold: bool = False
    waits: bool = False
    """It waits for people in a stage of a workflow."""
    opened_through: int = 0
    """How far the votes went of the decision that opened the generation."""

    def __post_init__(self) -> None:
        self.item = oracle.Item(self.policy)
        self.undoable: list[Given] = []
        """The newest decisions, which no batch has followed in this generation."""

    def counting(self) -> list[oracle.Vote]:
        return [
            oracle.Vote(vote_id, answer)
            for vote_id, solver, answer in self.votes
            if solver not in self.excluded and vote_id not in self.withdrawn
        ]

    def policy_changed(self, policy: Policy) -> None:
        self.policy = policy
        self.item.policy_changed(policy)

    def run(self) -> None:
        if self.gold:
            return
        self.item.votes = self.counting()
        rows = len(self.item.rows)
        self.item.apply()
        if len(self.item.rows) > rows:
            self.undoable.clear()

    def retract(self, solvers: set[str], excluded: set[str]) -> None:
        """`solvers` count otherwise now: `excluded` are those that do not."""
        theirs = [vote_id for vote_id, solver, _ in self.votes if solver in solvers]
        self.excluded = set(excluded)
        self._recount(theirs)

    def withdraw(self, vote_ids: set[int]) -> None:
        """These votes count no longer; those that did not count change nothing."""
        theirs = [vote.vote_id for vote in self.counting() if vote.vote_id in vote_ids]
        self.withdrawn |= vote_ids
        self._recount(theirs)

    def _recount(self, theirs: list[int]) -> None:
        taken = [row.last_vote_id or 0 for row in self.item.rows]
        if theirs and min(theirs) <= max(self.item.applied_through, self.opened_through, *taken):
            self.begin()
        elif theirs:
            self.run()
            self.hold_if_waiting()

    def begin(self) -> None:
        """A new generation: from the newest decision that stands, else from the first vote."""
        self.generation += 1
        self.item = oracle.Item(self.policy)
        self.item.votes = self.counting()
        self.undoable.clear()
        self.opened_through = 0
        if self.standing:
            newest = self.standing[-1]
            self.opened_through = newest.through
            taken = [vote for vote in self.item.votes if vote.vote_id <= newest.through]
            states = {"discard": "discarded", "accept": "graduated"}
            state = states.get(newest.decision, "in_revalidation")
            confidence = None
            if newest.label is not None:
                agree = sum(vote.answer == newest.label for vote in taken)
                floor = oracle.rules_of(self.policy).floor
                share = oracle.rounded(Fraction(agree, len(taken))) if taken else floor
                confidence = max(share, floor)
            self.item.now = oracle.Standing(newest.label, confidence, state, len(taken), 0)
            self.undoable.append(newest)
        self.run()
        self.hold_if_waiting()

    def hold_if_waiting(self) -> None:
        """What waits for people has no label in use."""
        if self.waits and not self.gold and self.item.now.state in ("in_revalidation", "graduated"):
            self.decide("hold")

    def decide(self, decision: str, label: int | None = None) -> None:
        self.item.votes = self.counting()
        if decision in ("relabel", "accept"):
            assert label is not None
            getattr(self.item, decision)(label)
        else:
            getattr(self.item, decision)()
        given = Given(decision, self.item.now.label, self.item.applied_through, self.generation)
        self.undoable.append(given)
        if decision not in ("hold", "release"):
            self.standing.append(given)

    @property
    def can_undo(self) -> bool:
        return bool(self.undoable)

    @property
    def restates(self) -> bool:
        """Whether the newest decision was taken in an earlier generation."""
        return self.undoable[-1].generation < self.generation

    def undo(self) -> Given:
        """Returns the decision that stands no more."""
        restated, undone = self.restates, self.undoable.pop()
        if undone.decision not in ("hold", "release"):
            assert self.standing.pop() is undone
        if restated:
            self.begin()
        else:
            self.item.undo()
        return undone
