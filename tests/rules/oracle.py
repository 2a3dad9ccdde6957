"""The rules of DESIGN section 2, read one item and one vote at a time, in fractions.

Written from the design and for reading, not for speed: what the library does to columns is compared
with this. Nothing of the library is used here but the text of a policy's settings.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from hiveguard_pipeline.rules.policy import Policy

MILLION = 1_000_000


class NotAllowedError(Exception):
    """The rules have no such step from here."""


@dataclass(frozen=True)
class Rules:
    """The six numbers of a policy, exactly as they are written."""

    threshold: int
    min_total: int
    exit: Fraction
    floor: Fraction
    delta: Fraction
    batch: int


@cache
def rules_of(policy: Policy) -> Rules:
    text = policy.settings()
    return Rules(
        threshold=int(text["CONSENSUS_THRESHOLD"]),
        min_total=int(text["REVALIDATION_MIN_TOTAL_VOTES"]),
        exit=Fraction(text["REVALIDATION_EXIT_CONFIDENCE"]),
        floor=Fraction(text["REVALIDATION_CONFIDENCE_THRESHOLD"]),
        delta=Fraction(text["REVALIDATION_DELTA"]),
        batch=int(text["REVALIDATION_MIN_VOTES"]),
    )


class Vote(NamedTuple):
    vote_id: int
    answer: int


class Row(NamedTuple):
    """One row of the ledger; None where there is nothing to say."""

    kind: str
    policy: Policy
    first_vote_id: int | None
    last_vote_id: int | None
    agree: int
    disagree: int
    label: int | None
    confidence_before: Fraction | None
    confidence_after: Fraction | None
    state_after: str
    decision: str


class Standing(NamedTuple):
    """What a label row says of an item."""

    label: int | None = None
    confidence: Fraction | None = None
    state: str = "unlabeled"
    vote_count: int = 0
    revalidation_vote_count: int = 0


def rounded(number: Fraction) -> Fraction:
    """To millionths, ties to even (what Python's round does to a fraction)."""
    return Fraction(round(number * MILLION), MILLION)


def judged(confidence: Fraction, total: int, rules: Rules) -> str:
    if confidence < rules.floor:
        return "needs_review"
    if confidence >= rules.exit and total >= rules.min_total:
        return "graduated"
    return "in_revalidation"


class Item:
    """One item; its events are the methods: vote, apply, confirm, relabel, discard, undo, policy_changed."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.votes: list[Vote] = []
        self.now = Standing()
        self.epochs = 0
        self.rows: list[Row] = []
        self.decided_from: list[Standing] = []
        """Where the decisions that can still be undone were taken from, newest last."""

    @property
    def applied(self) -> int:
        return self.now.vote_count + self.now.revalidation_vote_count

    @property
    def applied_through(self) -> int:
        return self.votes[self.applied - 1].vote_id if self.applied else 0

    def policy_changed(self, policy: Policy) -> None:
        """It holds for votes not yet processed, and re-judges nothing."""
        self.policy = policy

    def vote(self, vote_id: int, answer: int) -> None:
        self.votes.append(Vote(vote_id, answer))

    def apply(self) -> None:
        """What a run does: everything that is applicable now."""
        if self.now.state == "unlabeled":
            self.first_pass()
        while self.batch():
            pass

    def first_pass(self) -> bool:
        rules = rules_of(self.policy)
        tally: Counter[int] = Counter()
        for n, vote in enumerate(self.votes, start=1):
            tally[vote.answer] += 1
            label, held = tally.most_common(1)[0]
            if n >= rules.threshold and Fraction(held, n) > Fraction(1, 2):
                confidence = rounded(Fraction(held, n))
                state = judged(confidence, n, rules)
                after = Standing(label, confidence, state, vote_count=n)
                self._write("first_pass", self.votes[:n], held, n - held, after)
                self.decided_from.clear()
                return True
        return False

    def batch(self) -> bool:
        rules = rules_of(self.policy)
        taken = self.votes[self.applied : self.applied + rules.batch]
        if self.now.state != "in_revalidation" or len(taken) < rules.batch:
            return False
        assert self.now.confidence is not None
        confidence, agree = self.now.confidence, 0
        for vote in taken:
            agree += vote.answer == self.now.label
            confidence += rules.delta if vote.answer == self.now.label else -rules.delta
        confidence = min(max(confidence, Fraction(0)), Fraction(1))
        after = self.now._replace(
            confidence=confidence,
            state=judged(confidence, self.applied + rules.batch, rules),
            revalidation_vote_count=self.now.revalidation_vote_count + rules.batch,
        )
        self._write("revalidation", taken, agree, rules.batch - agree, after)
        self.decided_from.clear()
        return True

    def hold(self) -> None:
        """A stage of people waits for it: all stays but the state."""
        if self.now.state not in ("in_revalidation", "graduated"):
            raise NotAllowedError("only a label in use is held")
        self.decided_from.append(self.now)
        self._write("review", [], 0, 0, self.now._replace(state="needs_review"), "hold")

    def release(self) -> None:
        """Nobody agreed on anything: back to the crowd, at least at the floor."""
        if self.now.state != "needs_review" or self.now.confidence is None:
            raise NotAllowedError("only what is in review is released")
        self.decided_from.append(self.now)
        least = max(self.now.confidence, rules_of(self.policy).floor)
        after = self.now._replace(state="in_revalidation", confidence=least)
        self._write("review", [], 0, 0, after, "release")

    def accept(self, label: int) -> None:
        """A stage agreed on a label, and nothing more is asked of anybody."""
        self._relabelled("accept", label)

    def confirm(self) -> None:
        if self.now.label is None:
            raise NotAllowedError("there is no label to confirm")
        self._relabelled("confirm", self.now.label)

    def relabel(self, label: int) -> None:
        self._relabelled("relabel", label)

    def _relabelled(self, decision: str, label: int) -> None:
        """An item without a label takes all its votes so far as its first pass."""
        taken = [] if self.now.label is not None else list(self.votes)
        counted = [*self.votes[: self.applied], *taken]
        agree = sum(vote.answer == label for vote in counted)
        floor = rules_of(self.policy).floor
        confidence = max(rounded(Fraction(agree, len(counted))), floor) if counted else floor
        after = Standing(
            label,
            confidence,
            "graduated" if decision == "accept" else "in_revalidation",
            self.now.vote_count + len(taken),
            self.now.revalidation_vote_count,
        )
        self.decided_from.append(self.now)
        self._write("review", taken, agree, len(counted) - agree, after, decision)

    def discard(self) -> None:
        self.decided_from.append(self.now)
        self._write("review", [], 0, 0, self.now._replace(state="discarded"), "discard")

    def undo(self) -> None:
        """The newest decision that stands, until a batch has followed it."""
        if not self.decided_from:
            raise NotAllowedError("there is no decision that can be undone")
        self._write("review", [], 0, 0, self.decided_from.pop(), "undo")

    def _write(
        self,
        kind: str,
        taken: Sequence[Vote],
        agree: int,
        disagree: int,
        after: Standing,
        decision: str = "none",
    ) -> None:
        self.rows.append(
            Row(
                kind=kind,
                policy=self.policy,
                first_vote_id=taken[0].vote_id if taken else None,
                last_vote_id=taken[-1].vote_id if taken else None,
                agree=agree,
                disagree=disagree,
                label=after.label,
                confidence_before=self.now.confidence,
                confidence_after=after.confidence,
                state_after=after.state,
                decision=decision,
            )
        )
        self.epochs += kind != "review" and after.state == "graduated"
        self.now = after


def rederived(rows: Sequence[Row], votes: Sequence[Vote]) -> Item | None:
    """The item that a ledger's rows amount to; None where a row does not follow from the votes.

    Taken as given are what people put in: each row's kind and policy, a review's decision, the label
    that a relabel sets, and how many votes had come by then.
    """
    if not rows:
        return Item(Policy())
    item = Item(rows[0].policy)
    for row in rows:
        item.policy_changed(row.policy)
        item.votes = list(votes)
        try:
            if row.kind == "first_pass" and item.now.state == "unlabeled":
                item.first_pass()
            elif row.kind == "revalidation":
                item.batch()
            elif row.decision == "relabel" and row.label is not None:
                item.votes = list(votes[: row.agree + row.disagree])
                item.relabel(row.label)
            elif row.decision == "accept" and row.label is not None:
                item.votes = list(votes[: row.agree + row.disagree]) if item.now.label is None else item.votes
                item.accept(row.label)
            elif row.decision in ("confirm", "discard", "undo", "hold", "release"):
                getattr(item, row.decision)()
        except NotAllowedError:
            return None
        if not item.rows or item.rows.pop() != row:
            return None
    item.votes = list(votes)
    return item
