"""Whether stages can be satisfied: names, ways, cycles, quorums. What is wrong is said with its place."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hiveguard_pipeline.rules.stages import (
    DONE,
    ENDS,
    KAPPA,
    MODEL,
    PROBABILITY,
    RESERVED,
    SHARE,
    Stage,
    Stages,
)
from hiveguard_pipeline.rules.states import STATES, State

_GRADUATED = (STATES[State.GRADUATED],)


class Fault(NamedTuple):
    """What is wrong with a stage, and with which of its keys (None: with the stage)."""

    stage: int
    key: str | None
    why: str


def first_fault(stages: Stages) -> Fault | None:
    """The first thing that cannot be satisfied, whoever the people are."""
    for check in (_names, _crowd, _agreement, _ways, _reached, _exits, _model_cycles, _done_is_earned):
        found = next(check(stages), None)
        if found is not None:
            return found
    return None


def quorum_fault(stages: Stages, people: Mapping[str, int]) -> Fault | None:
    """A stage that wants more different people than its group has. people: group -> how many there are.

    Nobody is asked twice about an item, so that what stages before it took of the same group is gone.
    A group that has nobody yet is no fault: people come later.
    """
    for number, stage in enumerate(stages):
        if not stage.has_people or not people.get(stage.who):
            continue
        wanted = _most_asked(stages, stage, ())
        if wanted > people[stage.who]:
            own = stage.answers or 1
            before = "" if wanted == own else f" after the {wanted - own} whom stages before it ask"
            return Fault(
                number,
                "answers",
                f"stage {stage.name} wants {own} of the {stage.who}{before}, and there are"
                f" {people[stage.who]}",
            )
    return None


def _most_asked(stages: Stages, stage: Stage, after: tuple[str, ...]) -> int:
    """How many people of the stage's group an item can have been through when the stage is done."""
    before = [
        _most_asked(stages, other, (*after, stage.name))
        for other in stages
        if other.who == stage.who
        and other.name not in (*after, stage.name)
        and stage.name in stages.ways(other).values()
    ]
    return (stage.answers or 1) + max(before, default=0)


def _names(stages: Stages) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for number, stage in enumerate(stages):
        if stage.name in RESERVED:
            yield Fault(number, "name", f"{stage.name} is no name of a stage: it is where items go")
        if stage.name in seen:
            yield Fault(number, "name", f"there are two stages {stage.name}; leave one, or rename it")
        seen[stage.name] = number
    for number, stage in enumerate(stages):
        for outcome, target in stages.ways(stage).items():
            if target not in (*seen, *ENDS):
                yield Fault(
                    number,
                    f"on_{outcome}",
                    f"there is no stage {target!r}; there are {', '.join((*seen, *ENDS))}",
                )


def _crowd(stages: Stages) -> Iterator[Fault]:
    crowd = stages.crowd
    for number, stage in enumerate(stages):
        if not stage.is_crowd:
            continue
        place = crowd.index(stage)
        if place > 1:
            yield Fault(
                number,
                "who",
                "the crowd has two stages at most: the first label, and its re-validation; gather further"
                " answers from annotators or experts",
            )
        if stage.gate is not None:
            yield Fault(
                number, "gate", "a stage of the crowd has no gate: votes are taken from whoever gives them"
            )
        last = place == len(crowd) - 1
        if not last and stage.on_pass != crowd[place + 1].name:
            yield Fault(
                number,
                "on_pass",
                f"what passes the crowd's first stage goes on to its second, {crowd[place + 1].name};"
                " a gate on another stage takes items from there",
            )
        targets = [stage.on_fail, stage.on_timeout, *([stage.on_pass] if last else [])]
        for key, target in zip(("on_fail", "on_timeout", "on_pass"), targets, strict=False):
            other = stages.by_name.get(str(target))
            if (other is not None and other.is_crowd) or (target == DONE and key != "on_pass"):
                yield Fault(
                    number,
                    key,
                    f"{key} of a stage of the crowd names people, a model, or discard, not {target}",
                )


def _agreement(stages: Stages) -> Iterator[Fault]:
    for number, stage in enumerate(stages):
        many = (stage.answers or 1) > 1
        if stage.who == MODEL and (stage.measure != PROBABILITY or stage.least is None):
            yield Fault(
                number,
                "agreement",
                "a model's stage needs the probability that is enough: {probability: 0.9}",
            )
        if stage.who == MODEL and stage.answers not in (None, 1):
            yield Fault(number, "answers", "a model gives one answer")
        if stage.has_people and stage.measure == PROBABILITY:
            yield Fault(
                number,
                "agreement",
                f"{stage.who} agree by share or kappa; a probability is measured of the crowd and of models",
            )
        if stage.has_people and stage.measure == KAPPA and not many:
            yield Fault(number, "agreement", "kappa wants two answers at least")
        if stage.is_crowd and stage.measure == KAPPA:
            yield Fault(
                number,
                "agreement",
                "kappa is of a dataset, not of an item's votes: put `gate: {kappa: {below: ...}}` on the"
                " stage that it decides about",
            )
        first_of_two = len(stages.crowd) > 1 and stage is stages.crowd[0]
        if first_of_two and (stage.measure != SHARE or stage.least not in (None, 500_000)):
            yield Fault(
                number,
                "agreement",
                "a first label is the answer of more than half of the votes (share: 0.5); its re-validation,"
                " and gates on other stages, ask for more",
            )
        if stage.on_fail is None and (stage.who == MODEL or (stage.has_people and many)):
            yield Fault(
                number,
                None,
                f"stage {stage.name} says nothing of items on which its answers do not agree: on_fail names"
                " the stage that they go to",
            )
        if (stage.timeout is None) != (stage.on_timeout is None):
            key = "timeout" if stage.on_timeout is None else "on_timeout"
            yield Fault(number, key, "timeout (in hours) and on_timeout go together")


def _ways(stages: Stages) -> Iterator[Fault]:
    for number, stage in enumerate(stages):
        for outcome, target in stages.ways(stage).items():
            if target == stage.name and not stage.is_crowd:
                yield Fault(number, f"on_{outcome}", f"stage {stage.name} leads to itself")


def _reached(stages: Stages) -> Iterator[Fault]:
    begin = {stages.first.name, *(stage.name for stage in stages if stage.gate is not None)}
    reached, waiting = set(begin), list(begin)
    while waiting:
        ways = list(stages.ways(stages.by_name[waiting.pop()]).values())
        if any(target in stages.by_name and stages.by_name[target].is_crowd for target in ways):
            ways += [stage.name for stage in stages.crowd]  # one pool
        for target in ways:
            if target in stages.by_name and target not in reached:
                reached.add(target)
                waiting.append(target)
    for number, stage in enumerate(stages):
        if stage.name not in reached:
            yield Fault(
                number,
                None,
                f"nothing leads to stage {stage.name}: name it in an on_pass or on_fail, or gate it",
            )


def _exits(stages: Stages) -> Iterator[Fault]:
    leads = {stage.name for stage in stages if set(stages.ways(stage).values()) & set(ENDS)}
    while True:
        more = {stage.name for stage in stages if set(stages.ways(stage).values()) & leads} - leads
        if not more:
            break
        leads |= more
    for number, stage in enumerate(stages):
        if stage.name not in leads:
            ways = " -> ".join([stage.name, *dict.fromkeys(stages.ways(stage).values())][:4])
            yield Fault(number, "on_pass", f"no way leads from stage {stage.name} to done ({ways} ...)")


def _model_cycles(stages: Stages) -> Iterator[Fault]:
    """Models answer at once: a cycle of them would never come to rest."""
    for number, stage in enumerate(stages):
        seen, waiting = set[str](), [stage]
        while waiting:
            for target in stages.ways(waiting.pop()).values():
                other = stages.by_name.get(target)
                if other is None or other.who != MODEL or stage.who != MODEL:
                    continue
                if other is stage:
                    yield Fault(number, "on_fail", f"the model's stage {stage.name} leads back to itself")
                if other.name not in seen:
                    seen.add(other.name)
                    waiting.append(other)


def _done_is_earned(stages: Stages) -> Iterator[Fault]:
    """Only what was graduated when it came may be done without anybody's agreement."""
    earned = {stage.name for stage in stages if not stage.is_crowd}
    while True:
        lost = {name for name in earned if not _came_graduated(stages, stages.by_name[name], earned)}
        if not lost:
            break
        earned -= lost
    for number, stage in enumerate(stages):
        for outcome in ("fail", "timeout"):
            if stages.ways(stage).get(outcome) == DONE and not stage.is_crowd and stage.name not in earned:
                yield Fault(
                    number,
                    f"on_{outcome}",
                    f"on_{outcome}: done would graduate labels that nobody agreed on; that is for stages to"
                    " which only graduated items come (gate: {state: graduated})",
                )


def _came_graduated(stages: Stages, stage: Stage, earned: set[str]) -> bool:
    if stage is stages.first or (stage.gate is not None and stage.gate.states != _GRADUATED):
        return False
    for other in stages:
        for outcome, target in stages.ways(other).items():
            if target != stage.name:
                continue
            by_votes = other.is_crowd and outcome == "pass"
            if not by_votes and other.name not in earned:
                return False
    return True
