"""Crowds of simulated people for the tests of solvers: honest ones who differ, and some who do not care."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd


@dataclass(slots=True)
class Plan:
    """Who answers what. Skill is Beta(skill), difficulty of items and pace of people vary too."""

    solvers: int = 60
    items: int = 500
    votes: int = 8
    classes: int = 3
    skill: tuple[float, float] = (16, 4)
    hard_items: float = 0.2
    gold: float = 0.2
    evenly: bool = False
    sorted_by_class: bool = False
    timed: bool = True
    coin_flippers: list[int] = field(default_factory=list)
    one_class: list[int] = field(default_factory=list)
    speeders: list[int] = field(default_factory=list)
    in_blocks: list[int] = field(default_factory=list)
    copiers: list[int] = field(default_factory=list)


def crowd_of(plan: Plan, seed: int) -> Crowd:
    """The votes of a plan. Solvers differ in how many votes they give, unless `evenly`."""
    chance = np.random.default_rng(seed)
    prior = chance.dirichlet(np.full(plan.classes, 4.0))
    truth = chance.choice(plan.classes, plan.items, p=prior)
    truth = np.sort(truth) if plan.sorted_by_class else truth
    skill = chance.beta(*plan.skill, plan.solvers)
    # Each has leanings of his own when he is wrong; a hard item halves the distance to guessing.
    wrong = chance.dirichlet(np.full(plan.classes, 3.0), plan.solvers)
    busy = np.ones(plan.solvers) if plan.evenly else chance.gamma(1.5, size=plan.solvers) + 0.1
    keys = chance.exponential(size=(plan.items, plan.solvers)) / busy
    chosen = np.argsort(keys, axis=1)[:, : plan.votes]
    solver = chosen.ravel()
    item = np.repeat(np.arange(plan.items), plan.votes)
    hard = (chance.random(plan.items) < plan.hard_items)[item]
    right = chance.random(len(item)) < np.where(hard, (skill[solver] + 1 / plan.classes) / 2, skill[solver])
    drawn = (wrong.cumsum(axis=1)[solver] < chance.random(len(item))[:, None]).sum(axis=1)
    drawn = np.minimum(drawn, plan.classes - 1)
    drawn = np.where(drawn == truth[item], (drawn + 1) % plan.classes, drawn)
    answer = np.where(right, truth[item], drawn)
    random = chance.integers(plan.classes, size=len(item))
    answer = np.where(np.isin(solver, plan.coin_flippers), random, answer)
    answer = np.where(np.isin(solver, plan.one_class), 0, answer)
    copied = np.where(chance.random(plan.items) < 0.6, truth, chance.integers(plan.classes, size=plan.items))
    answer = np.where(np.isin(solver, plan.copiers), copied[item], answer)
    vote_id = chance.permutation(len(item)) if not plan.sorted_by_class else np.arange(len(item))
    # The same answers as an honest solver's, in blocks of one class each.
    for lazy in plan.in_blocks:
        mine = np.flatnonzero(solver == lazy)
        mine = mine[np.argsort(vote_id[mine])]
        answer[mine] = np.sort(chance.permutation(answer[mine]))
    pace = np.exp(chance.normal(8.5, 0.5, plan.solvers))
    pace[plan.speeders] = 150.0
    duration = (pace[solver] * np.exp(chance.normal(0, 0.7, len(item)))).astype(np.int64)
    gold = np.where(chance.random(plan.items) < plan.gold, truth, NO_LABEL).astype(np.int32)
    order = np.lexsort((vote_id, item))
    names = pa.array([f"item-{n:06}" for n in range(plan.items)], type=pa.string())
    return Crowd(
        offsets=np.arange(plan.items + 1, dtype=np.int64) * plan.votes,
        solver=solver[order].astype(np.int32),
        answer=answer[order].astype(np.int32),
        vote_id=vote_id[order].astype(np.int64) + 1,
        duration_ms=duration[order] if plan.timed else np.full(len(item), NO_DURATION, dtype=np.int64),
        item_ids=names,
        external_ids=names,
        gold=gold,
        solvers=[f"s{n:05}" for n in range(plan.solvers)],
        classes=[f"c{n}" for n in range(plan.classes)],
    )
