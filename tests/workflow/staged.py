"""A dataset whose items also go in and out of stages: held, released and accepted, many at once."""

from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import current_policy, lock_dataset, now_text
from hiveguard_pipeline.store.decisions import write_decisions
from hiveguard_pipeline.store.stages import hold_waiting
from hiveguard_pipeline.store.tables import item_uuid
from tests.retraction.plain import Counted
from tests.retraction.world import World

_USABLE = ("in_revalidation", "graduated")


class StagedWorld(World):
    """Votes, runs, retractions and reviews of `World`, and between them what stages decide."""

    kinds = (*World.kinds, *("stage",) * 6, "wait")

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        with self.database.write() as connection:
            self.workflow_id = connection.execute(
                t.workflows.insert().values(
                    dataset_id=self.dataset.dataset_id,
                    stages=[{"name": "crowd", "who": "crowd"}, {"name": "look", "who": "experts"}],
                    actor="t",
                    reason="t",
                    created_at=now_text(),
                )
            ).inserted_primary_key[0]

    def _wait(self) -> None:
        """What a run leads to: an item that waits and has a label now is held."""
        with self.database.write() as connection:
            dataset = lock_dataset(connection, self.dataset.name)
            hold_waiting(connection, dataset, current_policy(connection, dataset), run_id="stages")
        for item in self.items.values():
            item.hold_if_waiting()

    def _stage(self) -> None:
        """Some items go into a stage or out of it, all in one transaction."""
        self._wait()
        chosen = self.random.sample(self.names, self.random.randint(1, 4))
        made = {name: self._chosen(self.items[name]) for name in chosen if not self.items[name].gold}
        decided = {name: entry for name, entry in made.items() if entry is not None and entry[0] != "leave"}
        with self.database.write() as connection:
            dataset = lock_dataset(connection, self.dataset.name)
            for name, entry in made.items():
                if entry is not None:
                    self._move(connection, name)
            ids = [item_uuid(dataset.name, name) for name in decided]
            write_decisions(
                connection,
                dataset,
                current_policy(connection, dataset),
                {
                    "item_id": pa.array(ids, type=pa.string()),
                    "decision": pa.array([entry[0] for entry in decided.values()], type=pa.string()),
                    "label": pa.array(
                        [None if entry[1] is None else self._name(entry[1]) for entry in decided.values()],
                        type=pa.string(),
                    ),
                    "reason": pa.array(["a stage"] * len(ids), type=pa.string()),
                },
                run_id="stages",
            )
        for name, entry in made.items():
            if entry is None:
                continue
            item = self.items[name]
            item.waits = not item.waits
            if entry[0] == "undo":
                item.undo()
            elif entry[0] != "leave":
                item.decide(*entry)
            self.done.append(f"stage: {entry[0]}")

    def _chosen(self, item: Counted) -> tuple[str, int | None] | None:
        """What a stage may decide on an item now; None where nothing."""
        now, label = item.item.now, self._code(self._answer())
        if not item.waits:
            if now.state == "discarded":
                return None
            return ("hold", None) if now.state in _USABLE else ("leave", None)
        if now.state == "unlabeled":
            return self.random.choice(
                [("leave", None), ("relabel", label), ("accept", label), ("discard", None)]
            )
        if now.state != "needs_review":
            return None
        ways: list[tuple[str, int | None]] = [
            ("release", None),
            ("accept", label),
            ("accept", now.label),
            ("relabel", label),
            ("confirm", now.label),
            ("discard", None),
        ]
        if item.item.rows and item.item.rows[-1].decision == "hold":
            ways += [("undo", None)] * 2
        return self.random.choice(ways)

    def _move(self, connection: sa.Connection, name: str) -> None:
        item_id = item_uuid(self.dataset.name, name)
        if self.items[name].waits:
            connection.execute(t.item_stages.delete().where(t.item_stages.c.item_id == item_id))
            return
        connection.execute(
            t.item_stages.insert().values(
                item_id=item_id,
                dataset_id=self.dataset.dataset_id,
                workflow_id=self.workflow_id,
                stage="look",
                entered_at=now_text(),
            )
        )

    def check(self) -> None:
        super().check()
        with self.database.read() as connection:
            waiting = set(
                connection.execute(
                    sa.select(t.items.c.external_id)
                    .join(t.item_stages, t.item_stages.c.item_id == t.items.c.item_id)
                    .where(t.items.c.dataset_id == self.dataset.dataset_id)
                ).scalars()
            )
        assert waiting == {name for name, item in self.items.items() if item.waits}
