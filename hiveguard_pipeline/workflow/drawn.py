"""A workflow as people read it: its stages in words, how many items are in each, and where they lead."""

from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy, decimal_text
from hiveguard_pipeline.rules.stages import (
    DISCARD,
    DONE,
    GATED,
    KAPPA,
    MODEL,
    PROBABILITY,
    Gate,
    Stage,
    Stages,
)
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.status import funnel
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE, with_numbers
from hiveguard_pipeline.workflow.recorded import current_workflow

COLUMNS = ["stage", "who", "asks", "gate", "on_pass", "on_fail", "on_timeout", "timeout_hours", "items"]


def shown_stages(connection: sa.Connection, dataset: Dataset) -> tuple[Stages, dict[str, int]]:
    """The stages that hold, with the policy's numbers, and the items in each of them and at its ends."""
    recorded = current_workflow(connection, dataset)
    policy = current_policy(connection, dataset).policy
    stages = with_numbers(LIFE_CYCLE if recorded is None else recorded.stages, policy)
    return stages, items_in(connection, dataset, stages)


def items_in(connection: sa.Connection, dataset: Dataset, stages: Stages) -> dict[str, int]:
    """Items by stage, done and discard; what waits in no stage of people is with the crowd.

    Items in review that no stage has taken up are with the stage that the crowd's failures go to.
    """
    states = funnel(connection, dataset)
    rows = connection.execute(
        sa.text(
            "SELECT w.stage, s.state, count(*) AS items FROM item_stages w JOIN item_status s"
            " ON s.item_id = w.item_id WHERE w.dataset_id = :dataset GROUP BY w.stage, s.state"
        ),
        {"dataset": dataset.dataset_id},
    ).all()
    found = {stage.name: 0 for stage in stages} | {
        DONE: states[STATES[State.GRADUATED]],
        DISCARD: states[STATES[State.DISCARDED]],
    }
    for row in rows:
        found[row.stage] = found.get(row.stage, 0) + int(row.items)
        states[row.state] -= int(row.items)
    crowd = [stage.name for stage in stages.crowd]
    if crowd:
        found[crowd[0]] += states[STATES[State.UNLABELED]]
        found[crowd[-1]] += states[STATES[State.IN_REVALIDATION]]
        failed = next((stage.on_fail for stage in reversed(stages.crowd) if stage.on_fail in found), None)
        if failed is not None:
            found[failed] += states[STATES[State.NEEDS_REVIEW]]
    return found


def asks(stage: Stage, policy: Policy | None = None) -> str:
    """How many answers a stage wants, and what agreement, in words."""
    if stage.who == MODEL:
        return f"its proposal, at a probability of {_share(stage.least)} or more"
    unit = "vote" if stage.is_crowd else "answer"
    counted = f"{stage.answers} {unit}{'' if stage.answers == 1 else 's'}" if stage.answers else f"{unit}s"
    if stage.measure == KAPPA:
        agreed = f"more than half agree, kappa of the stage {_share(stage.least)} or more"
    elif stage.measure == PROBABILITY:
        agreed = f"probability {_share(stage.least)} or more"
    elif stage.least is None or stage.least == 500_000:
        agreed = "" if stage.answers == 1 else "more than half agree"
    elif stage.is_crowd:
        agreed = f"confidence {_share(stage.least)} or more"
    else:
        agreed = f"{_share(stage.least)} or more agree"
    skilled = f"skill {_share(stage.least_skill)} or more" if stage.least_skill is not None else ""
    floor = ""
    if policy is not None and stage.is_crowd and stage.on_fail is not None and stage.measure != PROBABILITY:
        floor = f"fails under {_share(policy.revalidation_confidence_threshold)}"
    return ", ".join(part for part in (counted, agreed, skilled, floor) if part)


def gate_text(gate: Gate | None) -> str:
    """A gate in words; empty without one."""
    if gate is None:
        return ""
    parts = [] if gate.states == GATED else [" or ".join(gate.states)]
    for name in ("confidence", "probability"):
        for end, word in (("above", "at least"), ("below", "below")):
            value = getattr(gate, f"{name}_{end}")
            parts += [] if value is None else [f"{name} {word} {_share(value)}"]
    if gate.classes is not None:
        parts.append(f"class {' or '.join(gate.classes)}")
    if gate.disagreement is not None:
        parts.append(f"at least {_share(gate.disagreement)} of the votes disagree")
    if gate.random is not None:
        parts.append(f"a random {_share(gate.random)}")
    if gate.kappa_below is not None:
        parts.append(f"the dataset's mean kappa below {_share(gate.kappa_below)}")
    return ", ".join(parts)


def stage_rows(stages: Stages, items: dict[str, int], policy: Policy) -> list[dict[str, Any]]:
    """A row a stage, with COLUMNS."""
    last = stages.crowd[-1] if stages.crowd else None
    return [
        {
            "stage": stage.name,
            "who": stage.who,
            "asks": asks(stage, policy if stage is last else None),
            "gate": gate_text(stage.gate),
            "on_pass": stage.on_pass,
            "on_fail": stage.on_fail,
            "on_timeout": stage.on_timeout,
            "timeout_hours": None if stage.timeout is None else float(decimal_text(stage.timeout)),
            "items": items.get(stage.name, 0),
        }
        for stage in stages
    ]


def drawing(stages: Stages, items: dict[str, int], policy: Policy) -> str:
    """The stages and their ways as lines of text."""
    lines = []
    width = max(len(stage.name) for stage in stages)
    for row in stage_rows(stages, items, policy):
        lines.append(f"[{row['stage']}]".ljust(width + 4) + f"{row['items']:,} items")
        lines.append(f"  |  {row['who']}: {row['asks']}")
        if row["gate"]:
            lines.append(f"  |  takes labels in use: {row['gate']}")
        for outcome, word in (("pass", "pass"), ("fail", "fail"), ("timeout", "timeout")):
            target = row[f"on_{outcome}"]
            if target is not None:
                late = f" after {row['timeout_hours']:g} h" if outcome == "timeout" else ""
                lines.append(f"  +-- {word}{late} --> {target}")
        lines.append("")
    lines += [f"[{end}]".ljust(width + 4) + f"{items.get(end, 0):,} items" for end in (DONE, DISCARD)]
    return "\n".join(lines)


def picture(stages: Stages, items: dict[str, int]) -> str:
    """The stages and their ways as an SVG in Markdown."""
    from hiveguard_pipeline.pictures import markdown, stages_svg

    names = [*(stage.name for stage in stages), DONE]
    if any(DISCARD in stages.ways(stage).values() for stage in stages):
        names.append(DISCARD)
    boxes = [
        (f"{stage.name}: {items.get(stage.name, 0):,} items", f"{stage.who}: {asks(stage)}")
        for stage in stages
    ]
    boxes += [(f"{end}: {items.get(end, 0):,} items", _END_LINES[end]) for end in names[len(boxes) :]]
    ways = [
        (number, names.index(target), outcome)
        for number, stage in enumerate(stages)
        for outcome, target in stages.ways(stage).items()
        if target in names and target != stage.name
    ]
    return markdown("stages", stages_svg(boxes, ways))


_END_LINES = {DONE: "graduated", DISCARD: "taken out for good"}


def _share(value: int | None) -> str:
    return "" if value is None else decimal_text(value)
