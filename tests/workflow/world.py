"""A dataset with a workflow: its crowd, annotators, experts and leads, beside the plain reading of it all."""

from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.audit.events import verify_events
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import progress_of
from hiveguard_pipeline.store.tables import item_uuid
from hiveguard_pipeline.workflow import (
    add_people,
    advance,
    answer,
    lease_next,
    parse_stages,
    release,
    set_workflow,
    verify_stages,
)
from tests.retraction.plain import Given
from tests.retraction.world import ANSWERS, World
from tests.workflow.plain import Flow

LONG_AGO = "2020-01-01T00:00:00.000000Z"

CROWD = [
    {"name": "first", "who": "crowd", "on_pass": "again", "on_fail": "review"},
    {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "review"},
]
REVIEW = {"name": "review", "who": "experts", "answers": "1", "on_pass": "again"}
DOUBLE = [
    {
        "name": "review",
        "who": "experts",
        "answers": "2",
        "on_pass": "done",
        "on_fail": "settle",
        "timeout": "5",
        "on_timeout": "again",
    },
    {
        "name": "settle",
        "who": "experts",
        "answers": "1",
        "on_pass": "done",
        "timeout": "1",
        "on_timeout": "again",
    },
]
WORKFLOWS: list[list[dict[str, Any]]] = [
    [*CROWD, REVIEW],
    [*CROWD, *DOUBLE],
    [
        *CROWD,
        REVIEW,
        {
            "name": "spot",
            "who": "experts",
            "gate": {"state": ["graduated"], "random": "0.6"},
            "on_pass": "done",
            "timeout": "2",
            "on_timeout": "done",
        },
        {
            "name": "doubt",
            "who": "annotators",
            "answers": "3",
            "agreement": {"share": "0.6"},
            "gate": {"state": ["in_revalidation"], "confidence": {"below": "0.9", "above": "0.6"}},
            "on_pass": "again",
            "on_fail": "review",
            "timeout": "2",
            "on_timeout": "again",
        },
    ],
    [
        {"name": "first", "who": "crowd", "on_pass": "again", "on_fail": "look"},
        {"name": "again", "who": "crowd", "on_pass": "look", "on_fail": "look"},
        {"name": "look", "who": "annotators", "answers": "2", "on_pass": "audit", "on_fail": "audit"},
        {
            "name": "audit",
            "who": "experts",
            "answers": "1",
            "on_pass": "done",
            "timeout": "1",
            "on_timeout": "again",
        },
        {"name": "x", "who": "experts", "gate": {"class": ["x"], "disagreement": "0.3"}, "on_pass": "again"},
    ],
    [
        {"name": "label", "who": "annotators", "answers": "2", "on_pass": "done", "on_fail": "again"},
        {"name": "first", "who": "crowd", "on_pass": "again", "on_fail": "review"},
        {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "review"},
        {"name": "review", "who": "experts", "on_pass": "again", "timeout": "3", "on_timeout": "discard"},
    ],
]


class FlowWorld(World):
    kinds = (
        *("votes",) * 3,
        *("run",) * 4,
        *("work",) * 14,
        *("retract", "review", "advance") * 2,
        *("withdraw", "policy", "gold", "late", "change"),
    )

    def __init__(self, *given: Any, workflow: int | None = None, **named: Any) -> None:
        super().__init__(*given, **named)
        self.people = {"annotators": [f"a{n}" for n in range(5)], "experts": [f"e{n}" for n in range(5)]}
        for group, names in self.people.items():
            add_people(self.database, self.dataset.name, group, names, actor="lead")
        self.crowd = [f"c{n}" for n in range(8)]
        self.looked_at = 0
        self.flows: dict[str, Flow] = {}
        self.fixed = workflow
        self._change()

    def _change(self) -> None:
        """Another workflow: what waits in a stage of the same name stays there."""
        chosen = self.fixed if self.fixed is not None else self.random.randrange(len(WORKFLOWS))
        stages = WORKFLOWS[chosen]
        by_name = {stage["name"]: stage for stage in stages}
        first = not self.flows
        if not first and self.random.random() < 0.7:
            return
        if first:
            self.flows = {
                name: Flow(item_uuid(self.dataset.name, name), self.items[name], by_name, ANSWERS)
                for name in self.names
            }
        changed = set_workflow(
            self.database, self.dataset.name, parse_stages(stages), actor="lead", reason="try"
        )
        if changed.workflow_id is None:
            return
        if not first:
            self._plain_advance()
        failing = [stage["on_fail"] for stage in stages if stage["who"] == "crowd"]
        for flow in self.flows.values():
            flow.stages = by_name
            flow.was_done = flow.state == "graduated"
            flow.done_rows = (flow.counted.generation, len(flow.counted.item.rows))
            if flow.stage is not None and by_name.get(flow.stage, {"who": "crowd"})["who"] == "crowd":
                flow.go("workflow", failing[-1], flow.carried)
        self.done.append("change")

    def _run(self) -> None:
        super()._run()
        with self.database.read() as connection:
            self.looked_at = progress_of(connection, self.dataset).folded_through
        for flow in self.flows.values():
            flow.looked_at = self.looked_at
        if self.random.random() < 0.8:
            self._advance()

    def _advance(self) -> None:
        advance(self.database, self.dataset.name, run_id="run")
        assert advance(self.database, self.dataset.name, run_id="again").moved == 0
        self._plain_advance()

    def _plain_advance(self) -> None:
        for flow in self.flows.values():
            if (flow.counted.generation, len(flow.counted.item.rows)) != getattr(flow, "done_rows", None):
                flow.was_done = False
            flow.advance()

    def _late(self) -> None:
        """Time runs out for some that wait."""
        late = [flow for flow in self.flows.values() if flow.stage and self.random.random() < 0.4]
        with self.database.write() as connection:
            for flow in late:
                if "timeout" in flow.stages[str(flow.stage)]:
                    flow.due = True
                    connection.execute(
                        t.item_stages.update()
                        .where(t.item_stages.c.item_id == flow.item_id)
                        .values(due_at=LONG_AGO)
                    )
        self._advance()

    def _work(self) -> None:
        """Somebody takes tasks and answers, gives back, or forgets them."""
        groups = {solver: group for group, names in self.people.items() for solver in names}
        solver = self.random.choice([*groups, *self.crowd[:4]])
        tasks = lease_next(
            self.database, solver=solver, n=self.random.randint(1, 4), dataset_name=self.dataset.name
        )
        assert len({task.item_id for task in tasks}) == len(tasks)
        for task in tasks:
            flow = self.flows[task.external_id]
            assert flow.stages[task.stage]["who"] == groups.get(solver, "crowd")
            assert solver not in {voter for _, voter, _ in flow.counted.votes}
            assert solver not in self._answered(task.item_id)
            act = self.random.random()
            if act < 0.1:
                release(self.database, task.lease_id)
            elif act < 0.2:
                self._forget(task.lease_id)
            else:
                self._answer_task(task, flow, groups)

    def _answer_task(self, task: Any, flow: Flow, groups: dict[str, str]) -> None:
        with self.database.read() as connection:
            lease = connection.execute(sa.select(t.leases).where(t.leases.c.lease_id == task.lease_id)).one()
        solver, people = lease.solver_id, lease.solver_id in groups
        given = None if people and self.random.random() < 0.1 else self.random.choice("xxxyz")
        assert flow.stage == (task.stage if people else None)
        answer(self.database, task.lease_id, answer=given, reason="saw it", solver=solver)
        self.done.append(f"answer: {flow.stages[task.stage]['who']}")
        if not people:
            self._read_votes()
            return
        flow.answers.append((solver, None if given is None else self._code(given)))
        flow.finish()

    def _answered(self, item_id: str) -> set[str]:
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(t.stage_answers.c.solver_id).where(t.stage_answers.c.item_id == item_id)
            )
            return set(rows.scalars())

    def _forget(self, lease_id: int) -> None:
        with self.database.write() as connection:
            connection.execute(
                t.leases.update().where(t.leases.c.lease_id == lease_id).values(expires_at=LONG_AGO)
            )
        try:
            answer(self.database, lease_id, answer="x")
        except BadInputError:
            return
        raise AssertionError("a lease that ran out was answered")

    def _left(self, name: str) -> None:
        self.flows[name].decided()

    def _undone(self, name: str, undone: Given) -> None:
        self.flows[name].decided_by(None)
        self.flows[name].undone(undone)

    def _review(self) -> None:
        before = {name: list(item.undoable) for name, item in self.items.items()}
        super()._review()
        for name, item in self.items.items():
            if len(item.undoable) > len(before[name]):
                self.flows[name].decided_by(item.undoable[-1])
            self.flows[name].decided_from_stage = False

    def play(self, steps: int) -> None:
        super().play(steps)
        assert verify_events(self.database, self.dataset.name).findings == []

    def check(self) -> None:
        super().check()
        assert verify_stages(self.database, self.dataset.name) == []
        with self.database.read() as connection:
            stages = connection.execute(
                sa.select(t.items.c.external_id, t.item_stages.c.stage)
                .join(t.item_stages, t.item_stages.c.item_id == t.items.c.item_id)
                .where(t.items.c.dataset_id == self.dataset.dataset_id)
            )
            waiting = {row.external_id: row.stage for row in stages}
            ways = connection.execute(
                sa.select(
                    t.items.c.external_id,
                    t.stage_transitions.c.from_stage,
                    t.stage_transitions.c.outcome,
                    t.stage_transitions.c.to_stage,
                )
                .join(t.items, t.items.c.item_id == t.stage_transitions.c.item_id)
                .where(t.items.c.dataset_id == self.dataset.dataset_id)
                .order_by(t.stage_transitions.c.transition_id)
            ).all()
        assert waiting == {name: flow.stage for name, flow in self.flows.items() if flow.stage is not None}
        for name, flow in self.flows.items():
            written = [tuple(row[1:]) for row in ways if row[0] == name]
            assert [way[:2] for way in written] == [way[:2] for way in flow.ways], name
            assert all(
                one[2] == other[2] or one[1] == "decided"
                for one, other in zip(written, flow.ways, strict=True)
            ), name
