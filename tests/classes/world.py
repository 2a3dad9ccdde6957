"""A dataset's life in which classes change as well: told to the store and to the plain reading at once.

The plain reading knows no eras: at a change every label and answer that it holds gets its new name, and
nothing is counted.
"""

import sqlalchemy as sa

from hiveguard_pipeline.classes import ClassChange, add_classes, merge_classes, remove_class, rename_class
from hiveguard_pipeline.store.database import Database
from tests.retraction.world import ANSWERS, WHO, World


class ClassWorld(World):
    kinds = (*World.kinds, *("classes",) * 4)

    def __init__(self, database: Database, seed: int, *, closed: bool) -> None:
        super().__init__(database, seed, classes=tuple(ANSWERS) if closed else None)
        self.closed = closed
        self.ever = list(ANSWERS)
        """Every name that was a class, in the order they came; their places are the codes."""
        self.now = {name: name for name in ANSWERS}
        """What each of them means now."""

    @property
    def live(self) -> list[str]:
        return sorted(name for name, now in self.now.items() if name == now)

    def _answer(self) -> str:
        """Any name there ever was: people and reviewers go on using the former ones."""
        return self.random.choice(self.ever)

    def _code(self, answer: str) -> int:
        return self.ever.index(self.now[answer])

    def _name(self, code: int) -> str:
        return self.ever[code]

    def _classes(self) -> None:
        new = f"n{len(self.ever)}"
        act = self.random.choice(["add", "rename", "merge", "merge into another", "remove"])
        fewer = act not in ("add", "rename")
        if (fewer and len(self.live) < 3) or (act == "add" and not self.closed):
            return
        one, two, *_ = self.random.sample(self.live, len(self.live))
        where = (self.database, self.dataset.name)
        labels = self._labels()
        if act == "add":
            done, change = add_classes(*where, [new], **WHO), {}
        elif act == "rename":
            done, change = rename_class(*where, one, new, **WHO), {one: new}
        elif act == "merge":
            into = self.random.choice([one, new])
            done = merge_classes(*where, [one, two], into, **WHO)
            change = {name: into for name in (one, two) if name != into}
        elif act == "merge into another":
            done, change = merge_classes(*where, [one], two, **WHO), {one: two}
        else:
            done, change = remove_class(*where, one, two, **WHO), {one: two}
        assert done.class_map == change
        assert done.labels == sum(label in change for label in labels)
        self._renamed(done, change)
        self.done.append(f"classes {act}")

    def _labels(self) -> list[str | None]:
        with self.database.read() as connection:
            found = connection.execute(
                sa.text("SELECT label FROM labels WHERE dataset_id = :dataset"),
                {"dataset": self.dataset.dataset_id},
            )
            return [row.label for row in found]

    def _renamed(self, done: ClassChange, change: dict[str, str]) -> None:
        for name in (*change.values(), *(done.classes or ())):
            if name not in self.now:
                self.ever.append(name)
                self.now[name] = name
        self.now = {name: change.get(now, now) for name, now in self.now.items()}
        if done.classes is not None:
            assert sorted(done.classes) == self.live

        def moved(label: int | None) -> int | None:
            return None if label is None else self._code(self.ever[label])

        for item in self.items.values():
            item.votes = [(vote, solver, self._code(self.ever[code])) for vote, solver, code in item.votes]
            plain = item.item
            plain.votes = [vote._replace(answer=self._code(self.ever[vote.answer])) for vote in plain.votes]
            plain.now = plain.now._replace(label=moved(plain.now.label))
            plain.decided_from = [before._replace(label=moved(before.label)) for before in plain.decided_from]
            for given in item.standing:
                given.label = moved(given.label)
