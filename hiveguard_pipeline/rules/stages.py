"""Stages of a workflow: who answers, when they agree, where an item goes from there. Values only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hiveguard_pipeline.rules.policy import decimal_text
from hiveguard_pipeline.rules.states import STATES, State

CROWD, ANNOTATORS, EXPERTS, MODEL = "crowd", "annotators", "experts", "model"
GROUPS = (CROWD, ANNOTATORS, EXPERTS, MODEL)
"""Who may answer in a stage."""

DONE, DISCARD, POOL = "done", "discard", "pool"
ENDS = (DONE, DISCARD)
"""Where an item goes that no stage asks about any more: graduated, or taken out for good."""

RESERVED = (DONE, DISCARD, POOL)

SHARE, KAPPA, PROBABILITY = "share", "kappa", "probability"
MEASURES = (SHARE, KAPPA, PROBABILITY)

GATED = (STATES[State.IN_REVALIDATION], STATES[State.GRADUATED])
"""States that a gate may look at: those of labels in use."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on an item with a label in use, all of whose parts must hold; shares in millionths.

    disagreement: at least so large a share of its votes that count name another label. random: the share of
    all items that are spot-checked. kappa_below: of the whole dataset, mean over pairs of solvers.
    """

    states: tuple[str, ...] = GATED
    confidence_above: int | None = None
    confidence_below: int | None = None
    probability_above: int | None = None
    probability_below: int | None = None
    classes: tuple[str, ...] | None = None
    disagreement: int | None = None
    random: int | None = None
    kappa_below: int | None = None

    def values(self) -> dict[str, Any]:
        """As it is written."""
        found: dict[str, Any] = {}
        if self.states != GATED:
            found["state"] = list(self.states)
        for name in ("confidence", "probability"):
            ends = {end: getattr(self, f"{name}_{end}") for end in ("above", "below")}
            given = {end: decimal_text(value) for end, value in ends.items() if value is not None}
            if given:
                found[name] = given
        if self.classes is not None:
            found["class"] = list(self.classes)
        for name in ("disagreement", "random"):
            if getattr(self, name) is not None:
                found[name] = decimal_text(getattr(self, name))
        if self.kappa_below is not None:
            found["kappa"] = {"below": decimal_text(self.kappa_below)}
        return found


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage. answers: distinct ones that it gathers; None for a model, and where the policy says it.

    measure, least: what agreement it needs, in millionths; least None: more than half, or what the policy
    says. timeout: millionths of an hour. least_skill: of those who are asked, the share of gold items that
    they know, in millionths.
    """

    name: str
    who: str
    answers: int | None = None
    measure: str = SHARE
    least: int | None = None
    gate: Gate | None = None
    on_pass: str = DONE
    on_fail: str | None = None
    on_timeout: str | None = None
    timeout: int | None = None
    least_skill: int | None = None

    @property
    def is_crowd(self) -> bool:
        """Whether votes decide in it, by the policy."""
        return self.who == CROWD

    @property
    def has_people(self) -> bool:
        """Whether it gathers answers of annotators or experts."""
        return self.who in (ANNOTATORS, EXPERTS)

    def values(self) -> dict[str, Any]:
        """As it is written."""
        agreement = None if self.least is None else {self.measure: decimal_text(self.least)}
        written = {
            "name": self.name,
            "who": self.who,
            "answers": self.answers,
            "agreement": agreement,
            "gate": None if self.gate is None else self.gate.values(),
            "on_pass": self.on_pass,
            "on_fail": self.on_fail,
            "on_timeout": self.on_timeout,
            "timeout": None if self.timeout is None else decimal_text(self.timeout),
            "least_skill": None if self.least_skill is None else decimal_text(self.least_skill),
        }
        return {name: value for name, value in written.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a dataset, in order; an item without a label begins at the first."""

    stages: tuple[Stage, ...]
    by_name: dict[str, Stage] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {stage.name: stage for stage in self.stages})

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    @property
    def first(self) -> Stage:
        """Where an item without a label begins."""
        return self.stages[0]

    @property
    def crowd(self) -> Sequence[Stage]:
        """The stages that the policy's numbers are of: the first label, then re-validation."""
        return [stage for stage in self.stages if stage.is_crowd]

    @property
    def pool(self) -> str:
        """What the pool is called: the last stage of the crowd."""
        return self.crowd[-1].name if self.crowd else POOL

    def ways(self, stage: Stage) -> dict[str, str]:
        """Outcome -> where it leads, of those that a stage has."""
        ways = {"pass": stage.on_pass, "fail": stage.on_fail, "timeout": stage.on_timeout}
        return {outcome: target for outcome, target in ways.items() if target is not None}
