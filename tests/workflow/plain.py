"""The way of one item through stages, step by step as docs/workflow.md has it; without the library."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.retraction.plain import Counted, Given
from tests.rules.oracle import rules_of

USABLE = ("in_revalidation", "graduated")
_BITS = (1 << 64) - 1


def is_drawn(item_id: str, stage: str, share: Fraction) -> bool:
    """Whether a random share of a stage takes an item."""
    seed = int.from_bytes(hashlib.sha256(stage.encode()).digest()[:8], "little")
    mixed = int(item_id.replace("-", "")[-16:], 16) ^ seed
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _BITS
    mixed ^= mixed >> 31
    return mixed % 1_000_000 < share * 1_000_000


@dataclass
class Flow:
    """An item on its way. stages: as a config writes them, by name in order."""

    item_id: str
    counted: Counted
    stages: dict[str, dict[str, Any]]
    names: str
    """What the codes of answers are called."""
    stage: str | None = None
    answers: list[tuple[str, int | None]] = field(default_factory=list)
    carried: int | None = None
    visited: set[str] = field(default_factory=set)
    last: tuple[str | None, Given | None] = (None, None)
    last_undone: bool = False
    was_done: bool = False
    """It was graduated when the workflow was set, and nothing has moved it since."""
    due: bool = False
    ways: list[tuple[str | None, str, str]] = field(default_factory=list)

    @property
    def state(self) -> str:
        return "gold" if self.counted.gold else self.counted.item.now.state

    @property
    def crowd(self) -> list[str]:
        return [name for name, stage in self.stages.items() if stage["who"] == "crowd"]

    def advance(self) -> None:
        if self.stage is not None and self.state in ("gold", "discarded"):
            self._note("closed", "discard" if self.state == "discarded" else "gold", None)
            self._leave()
        self.counted.hold_if_waiting()
        while self._step():
            pass

    def _step(self) -> bool:
        moved = self.finish()
        if self.due and self.stage is not None and "timeout" in self.stages[self.stage]:
            self.go("timeout", self.stages[self.stage]["on_timeout"], self.carried)
            moved = True
        entry = self._entry()
        if entry is not None:
            self.go(*entry, None)
        return moved or entry is not None

    def finish(self) -> bool:
        """Go on if all answers are there; says whether it did."""
        if self.stage is None:
            return False
        stage = self.stages[self.stage]
        if len(self.answers) < int(stage.get("answers", 1)):
            return False
        given = [answer for _, answer in self.answers]
        label, most = Counter(given).most_common(1)[0]
        least = Fraction(stage.get("agreement", {"share": "0"})["share"])
        if Fraction(most, len(given)) > Fraction(1, 2) and Fraction(most, len(given)) >= least:
            self.go("pass", "discard" if label is None else stage["on_pass"], label)
        else:
            self.go("fail", stage["on_fail"], None)
        return True

    def _entry(self) -> tuple[str, str] | None:
        now = self.counted.item.now
        if self.stage is not None or self.counted.gold:
            return None
        if now.state == "needs_review":
            back, _ = self.last
            if self.last_undone and back in self.stages and self.stages[back]["who"] != "crowd":
                return "undone", back
            failed = next((self.stages[name]["on_fail"] for name in reversed(self.crowd)), None)
            return None if failed is None else ("fail", failed)
        for name, stage in self.stages.items():
            if "gate" in stage and name not in self.visited and self._opens(name, stage["gate"]):
                return "gate", name
            passed = stage.get("on_pass")
            leads = self.crowd and name == self.crowd[-1] and passed in self.stages
            if leads and passed not in self.visited and now.state == "graduated" and not self.was_done:
                return "pass", str(passed)
        failed = next((self.stages[name]["on_fail"] for name in self.crowd), None)
        votes = [vote for vote in self.counted.counting() if vote.vote_id <= self.looked_at]
        many = len(votes) >= rules_of(self.current_policy).min_total
        if now.state == "unlabeled" and votes and many and failed is not None and failed not in self.visited:
            return "fail", failed
        first = next(iter(self.stages))
        if now.state == "unlabeled" and self.stages[first]["who"] != "crowd" and not self.ways:
            return "start", first
        return None

    looked_at: int = 0
    """The newest vote that a run has looked at."""

    @property
    def current_policy(self) -> Any:
        return self.counted.policy

    def _opens(self, name: str, gate: dict[str, Any]) -> bool:
        now = self.counted.item.now
        if now.state not in gate.get("state", USABLE) or (now.state == "graduated" and self.was_done):
            return False
        assert now.confidence is not None
        assert now.label is not None
        ends = gate.get("confidence", {})
        if "below" in ends and now.confidence >= Fraction(ends["below"]):
            return False
        if "above" in ends and now.confidence < Fraction(ends["above"]):
            return False
        if "class" in gate and self.names[now.label] not in gate["class"]:
            return False
        if "random" in gate and not is_drawn(self.item_id, name, Fraction(gate["random"])):
            return False
        if "disagreement" in gate:
            through = self.counted.item.applied_through
            votes = [vote for vote in self.counted.counting() if vote.vote_id <= through]
            others = sum(vote.answer != now.label for vote in votes)
            if not votes or Fraction(others, len(votes)) < Fraction(gate["disagreement"]):
                return False
        return True

    def go(self, outcome: str, target: str, label: int | None) -> None:
        """A move: what it decides on the label, and where the item waits then."""
        now = self.counted.item.now
        made = len(self.counted.undoable)
        undone = False
        to_people = target in self.stages and self.stages[target]["who"] != "crowd"
        if to_people:
            if now.state in USABLE:
                self.counted.decide("hold")
        elif target == "discard":
            self.counted.decide("discard")
        elif label is not None:
            same = "confirm" if label == now.label else "relabel"
            self.counted.decide("accept" if target == "done" else same, label)
        elif now.label is not None and now.state == "needs_review":
            rows = self.counted.item.rows
            held = bool(rows) and rows[-1].decision == "hold"
            if held and target == "done" and rows[-2].state_after == "graduated":
                self.counted.undo()
                undone = True
            else:
                self.counted.decide("release")
        decided = len(self.counted.undoable) > made and not undone
        self._note(outcome, target, self.counted.undoable[-1] if decided else None)
        self._leave()
        if to_people:
            self.stage, self.counted.waits, self.carried = target, True, label

    def _note(self, outcome: str, target: str, given: Given | None) -> None:
        self.ways.append((self.stage, outcome, target))
        self.last, self.last_undone = (self.stage, given), False
        self.visited.add(target)

    def _leave(self) -> None:
        self.stage, self.counted.waits, self.answers, self.carried, self.due = None, False, [], None, False

    def decided(self) -> None:
        """A lead decides; `last` is set when the decision is there."""
        if self.stage is not None:
            self._note("decided", "?", None)
            self._leave()
            self.decided_from_stage = True
        else:
            self.decided_from_stage = False

    decided_from_stage: bool = False

    def decided_by(self, given: Given | None) -> None:
        """The decision of a lead that ended a stage, None for an undo."""
        if self.decided_from_stage:
            self.last = (self.last[0], given)

    def undone(self, given: Given) -> None:
        if given is self.last[1]:
            self.last_undone = True
