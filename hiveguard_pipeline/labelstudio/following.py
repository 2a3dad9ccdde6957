"""What annotations become: votes, revised votes, votes taken back. In one transaction.

A person's answer to an item is their oldest annotation on it that can be taken. Where the vote that stands
for them says another, it is withdrawn, and the answer comes in under the next revised name; where they have
no annotation any more, it is withdrawn alone. So whatever was seen, or missed, between two pulls, the votes
that count are what the server says; and a pull that finds nothing changed writes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from hiveguard_pipeline.intake.judged import DUPLICATE, NO_CLASS
from hiveguard_pipeline.intake.votes import take_votes
from hiveguard_pipeline.labelstudio.held import REVIEW, Held
from hiveguard_pipeline.labelstudio.known import (
    PREFIX,
    QUARANTINED,
    REFUSED,
    SUPERSEDED,
    VOTE,
    WAITING,
    Known,
    remember,
)
from hiveguard_pipeline.labelstudio.offered import Offer, Offers
from hiveguard_pipeline.labelstudio.seen import Look, Seen
from hiveguard_pipeline.labelstudio.standing import Standing, given_votes, quarantined_now
from hiveguard_pipeline.retraction import exclude_revised, original_solver, revised_solver, withdraw_on
from hiveguard_pipeline.rules.structured.answer import read_answer
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.datasets import Dataset, now_text
from hiveguard_pipeline.store.schema_versions import accepted_names, class_map_of

ACTOR = "label-studio"
NO_SOLVER = "no_solver"

Person = tuple[str, str]
"""item_id, and the solver's name without a revision."""


@dataclass(slots=True)
class Followed:
    """What was done. votes: new ones, of which `revised` under a revised name. deleted: annotations gone.

    withdrawn: votes taken back. recounted: items with votes taken back that had been applied. waiting:
    annotations of review tasks that were new or changed. quarantined: by reason. notes: what was left out
    of answers that were taken, by code.
    """

    votes: int = 0
    revised: int = 0
    withdrawn: int = 0
    recounted: int = 0
    deleted: int = 0
    tasks_gone: int = 0
    waiting: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def follow(
    connection: sa.Connection,
    dataset: Dataset,
    look: Look,
    known: Mapping[int, Known],
    held: Mapping[str, Held],
    source: str,
) -> Followed:
    """Bring votes to what was seen. The caller's transaction holds the dataset's lock.

    source: what the import is called in the records.
    """
    work = _Following(connection, dataset, known, held, source, Followed(), now_text())
    work.take(look)
    return work.done


@dataclass(slots=True)
class _Entry:
    """One annotation of a person on an item. seen: None for one that was not looked at now.

    is_new: it is new or changed. refused: the intake has refused it for what no other annotation alters.
    """

    annotation_id: int
    answer: str | None
    fault: str | None
    seen: Seen | None
    is_new: bool
    refused: bool


@dataclass(slots=True)
class _Following:
    connection: sa.Connection
    dataset: Dataset
    known: Mapping[int, Known]
    held: Mapping[str, Held]
    source: str
    done: Followed
    moment: str
    rows: dict[int, Known] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    hoped: set[int] = field(default_factory=set)
    """Annotations that are offered under a name that has no vote yet: one that has it then was taken."""

    def take(self, look: Look) -> None:
        seen = {one.annotation_id: one for one in look.live}
        gone = self._gone(look, seen)
        touched = {self._person_of(row) for row in gone if not row.is_for_review}
        for one in look.live:
            row = self.known.get(one.annotation_id)
            if self._is_for_review(one, row):
                self._wait(one, row)
            elif not self._is_same(one, row, look.is_full):
                touched.add((one.item_id, _name(one)))
                if row is not None and row.item_id != one.item_id and row.vote_id is not None:
                    touched.add(self._person_of(row))
        gone_ids = {row.annotation_id for row in gone}
        entries = self._entries(touched, seen, gone_ids, look.is_full)
        self._decide(touched, entries)
        remember(self.connection, self.dataset, self.rows.values())

    def _gone(self, look: Look, seen: Mapping[int, Seen]) -> list[Known]:
        """Annotations that are no more on tasks that are; those whose task went too leave their votes."""
        gone = []
        for row in self.known.values():
            if row.deleted_at is not None or row.annotation_id in seen:
                continue
            if row.task_id in look.tasks:
                gone.append(row)
                self.done.deleted += 1
            elif row.task_id in look.gone_tasks:
                self.done.tasks_gone += 1
            else:
                continue
            self.rows[row.annotation_id] = replace(row, deleted_at=self.moment, seen_at=self.moment)
        return gone

    def _is_for_review(self, one: Seen, row: Known | None) -> bool:
        held = self.held.get(one.item_id)
        is_review_task = held is not None and held.source == REVIEW
        return is_review_task and (row is None or row.is_for_review)

    def _wait(self, one: Seen, row: Known | None) -> None:
        if row is not None and row.deleted_at is None and row.updated_at == one.updated_at:
            return
        fault = one.fault or (NO_SOLVER if one.person is None else None)
        outcome = WAITING if fault is None else f"{REFUSED} {fault}"
        self.done.waiting += fault is None
        self.rows[one.annotation_id] = self._row(one, row, _name(one), None, outcome)

    def _is_same(self, one: Seen, row: Known | None, full: bool) -> bool:
        """Nothing to do: it was seen as it is. A full look offers what is in quarantine again."""
        if row is None or row.deleted_at is not None or row.is_for_review or row.item_id != one.item_id:
            return False
        return row.updated_at == one.updated_at and not (full and row.outcome.startswith(QUARANTINED))

    def _entries(
        self, touched: set[Person], seen: Mapping[int, Seen], gone: set[int], full: bool
    ) -> dict[Person, list[_Entry]]:
        found: dict[Person, list[_Entry]] = defaultdict(list)
        for one in seen.values():
            row = self.known.get(one.annotation_id)
            person = (one.item_id, _name(one))
            if person in touched and not self._is_for_review(one, row):
                fault = one.fault or (NO_SOLVER if one.person is None else None)
                is_new = not self._is_same(one, row, full)
                refused = not is_new and row is not None and _is_refused(row)
                found[person].append(_Entry(one.annotation_id, one.answer, fault, one, is_new, refused))
        for row in self.known.values():
            aside = row.deleted_at is not None or row.is_for_review or row.annotation_id in gone
            if aside or row.annotation_id in seen or row.annotation_id in self.rows:
                continue
            person = self._person_of(row)
            if person in touched:
                found[person].append(
                    _Entry(row.annotation_id, row.answer, None, None, False, _is_refused(row))
                )
        return found

    def _decide(self, touched: set[Person], entries: Mapping[Person, list[_Entry]]) -> None:
        given = given_votes(self.connection, sorted({item_id for item_id, _ in touched}))
        taken_back: dict[str, list[int]] = defaultdict(list)
        revised: dict[str, str] = {}
        with_vote: dict[Person, list[int]] = defaultdict(list)
        for row in self.known.values():
            if row.vote_id is not None:
                with_vote[self._person_of(row)].append(row.annotation_id)
        map_of = class_map_of(self.connection, self.dataset)
        names = accepted_names(self.connection, self.dataset)
        for person in sorted(touched):
            mine = sorted(entries.get(person, []), key=lambda entry: entry.annotation_id)
            votes = given.get(person, [])
            stands = next((vote for vote in reversed(votes) if not vote.withdrawn), None)
            winner = next((entry for entry in mine if self._can_be(entry, names)), None)
            says_the_same = (
                winner is not None
                and stands is not None
                and map_of.of_one(str(winner.answer)) == map_of.of_one(stands.answer)
            )
            solver = person[1]
            if winner is not None and says_the_same:
                assert stands is not None
                self._keep(winner, stands)
            else:
                if stands is not None:
                    taken_back["edited" if winner is not None else "deleted"].append(stands.vote_id)
                if winner is not None:
                    if votes:
                        solver = revised_solver(max(votes, key=lambda vote: vote.revision).solver_id)
                        revised[solver] = person[1]
                    self._offer(winner, solver, None, is_revision=bool(votes))
                    self.hoped.add(winner.annotation_id)
            self._release(with_vote[person], winner)
            for entry in mine:
                if entry is not winner and entry.is_new:
                    later = entry.fault is None and self._can_be(entry, names)
                    reason = DUPLICATE if later else entry.fault
                    self._offer(entry, person[1], reason, is_revision=False)
        self._write(taken_back, revised)

    def _can_be(self, entry: _Entry, names: Sequence[str] | None) -> bool:
        """Whether an entry can be a vote, as far as can be told before the intake."""
        if entry.fault is not None or entry.answer is None or entry.refused:
            return False
        if names is None:
            return True
        used = read_answer(entry.answer).names if is_structured(self.dataset.task_type) else {entry.answer}
        return used <= set(names)

    def _keep(self, winner: _Entry, stands: Standing) -> None:
        row = self.known.get(winner.annotation_id)
        if winner.seen is not None:
            self.rows[winner.annotation_id] = self._row(
                winner.seen, row, stands.solver_id, stands.vote_id, VOTE
            )
        elif row is not None:
            self.rows[winner.annotation_id] = replace(
                row, vote_id=stands.vote_id, solver_id=stands.solver_id, outcome=VOTE
            )

    def _release(self, with_vote: list[int], winner: _Entry | None) -> None:
        """Annotations that had the vote of a person, which is that of another now, or of none."""
        for annotation_id in with_vote:
            if winner is not None and annotation_id == winner.annotation_id:
                continue
            row = self.rows.get(annotation_id, self.known[annotation_id])
            stands_aside = row.deleted_at is None and row.outcome == VOTE
            outcome = SUPERSEDED if stands_aside else row.outcome
            self.rows[annotation_id] = replace(row, vote_id=None, outcome=outcome)

    def _offer(self, entry: _Entry, solver: str, reason: str | None, *, is_revision: bool) -> None:
        """Offer an annotation to the intake, and note its row, which the intake's verdict completes."""
        row = self.known.get(entry.annotation_id)
        one = entry.seen
        if one is None:
            assert row is not None  # an annotation that was not looked at now takes the place of another
            self.rows[entry.annotation_id] = replace(row, solver_id=solver, vote_id=None)
            moment, duration, raw = row.updated_at, None, f'{{"id": {row.annotation_id}}}'
            item_id = row.item_id
        else:
            self.rows[entry.annotation_id] = self._row(one, row, solver, None, QUARANTINED)
            moment = one.updated_at if is_revision else one.created_at
            duration, raw, item_id = one.duration_ms, one.raw, one.item_id
            if reason is None:
                self.done.notes.update(one.notes)
        said = solver if reason != NO_SOLVER else None
        self.offers.append(
            Offer(entry.annotation_id, item_id, said, entry.answer, duration, moment, reason, raw)
        )

    def _write(self, taken_back: Mapping[str, list[int]], revised: Mapping[str, str]) -> None:
        for what, vote_ids in sorted(taken_back.items()):
            effect = withdraw_on(
                self.connection,
                self.dataset,
                vote_ids,
                actor=ACTOR,
                reason=f"annotation {what} in {self.source}",
            )
            self.done.withdrawn += len(vote_ids)
            self.done.recounted += effect.recounted
        if not self.offers:
            return
        exclude_revised(self.connection, self.dataset, revised, actor=ACTOR)
        taken = take_votes(self.connection, self.dataset, Offers(self.source, self.offers))
        self.done.votes += taken.accepted
        self.done.quarantined.update(taken.reasons)
        reasons = quarantined_now(self.connection, self.dataset)
        given = given_votes(self.connection, sorted({offer.item_id for offer in self.offers}))
        by_name = {
            (item_id, vote.solver_id): vote.vote_id for (item_id, _), votes in given.items() for vote in votes
        }
        for line, offer in enumerate(self.offers, start=1):
            row = self.rows[offer.annotation_id]
            vote_id = by_name.get((offer.item_id, offer.solver_id or ""))
            if offer.annotation_id in self.hoped and vote_id is not None:
                self.done.revised += offer.solver_id in revised
                row = replace(row, vote_id=vote_id, outcome=VOTE)
            else:
                why = reasons.get(line) or offer.reason or self._reason_before(offer.annotation_id)
                row = replace(row, outcome=f"{QUARANTINED} {why}")
            self.rows[offer.annotation_id] = row

    def _reason_before(self, annotation_id: int) -> str:
        row = self.known.get(annotation_id)
        return row.outcome.partition(" ")[2] if row is not None else "known already"

    def _row(self, one: Seen, before: Known | None, solver: str, vote_id: int | None, outcome: str) -> Known:
        # What was proposed is what was there when the annotation was first seen.
        kept = before is not None and before.item_id == one.item_id
        return Known(
            one.annotation_id,
            one.task_id,
            one.item_id,
            solver,
            vote_id,
            one.answer,
            before.proposal if before is not None and kept else one.proposal,
            outcome,
            one.updated_at,
            None,
            self.moment,
        )

    def _person_of(self, row: Known) -> Person:
        return row.item_id, original_solver(row.solver_id)


def _name(one: Seen) -> str:
    return PREFIX + (one.person or "")


def _is_refused(row: Known) -> bool:
    word, _, reason = row.outcome.partition(" ")
    return word == QUARANTINED and reason not in (DUPLICATE, NO_CLASS)
