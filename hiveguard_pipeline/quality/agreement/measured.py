"""The agreement of a crowd, measured: all figures with their intervals, overall and per label."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiveguard_pipeline.quality.agreement.causes import Deviations, deviations
from hiveguard_pipeline.quality.agreement.coefficients import COEFFICIENTS
from hiveguard_pipeline.quality.agreement.cohen import mean_kappas
from hiveguard_pipeline.quality.agreement.confusion import Confusion, confusion, specific_agreement
from hiveguard_pipeline.quality.agreement.counts import Counts, count_labels
from hiveguard_pipeline.quality.agreement.intervals import Estimate
from hiveguard_pipeline.store.crowd import Crowd

FIGURES = ("percent_agreement", "cohens_kappa", "fleiss_kappa", "krippendorff_alpha", "gwet_ac1")

MOST_LABELS = 100
"""Of more labels than this, only those with most votes are measured one by one."""


@dataclass(slots=True)
class LabelAgreement:
    """One label against all others together: its votes, and the figures by name.

    The figures are FIGURES of the votes for and against the label, and `specific_agreement`.
    """

    label: str
    votes: int
    figures: dict[str, Estimate]


@dataclass(slots=True)
class Agreement:
    """How far the people agree who answered on the same items.

    items and solvers are those with votes; paired_items have two votes or more. classes, solver_names: what
    the codes in `confusion` and `of_solvers` mean.
    """

    items: int
    paired_items: int
    solvers: int
    votes: int
    figures: dict[str, Estimate]
    per_label: list[LabelAgreement]
    confusion: Confusion
    of_solvers: Deviations
    classes: list[str]
    solver_names: list[str]
    notes: list[str] = field(default_factory=list)
    """What is undefined or left out, and why."""

    def as_object(self) -> dict[str, Any]:
        """Plain numbers, as JSON has them; what is undefined is None."""
        return {
            **{name: self.figures[name].value for name in FIGURES},
            "items": self.items,
            "paired_items": self.paired_items,
            "solvers": self.solvers,
            "votes": self.votes,
            "intervals": {name: self.figures[name].interval for name in FIGURES},
            "per_label": {
                entry.label: {
                    "votes": entry.votes,
                    "share": entry.votes / self.votes,
                    **{name: figure.value for name, figure in entry.figures.items()},
                    "intervals": {name: figure.interval for name, figure in entry.figures.items()},
                }
                for entry in self.per_label
            },
        }

    def shares_of_other_answers(self, names: list[str]) -> list[list[float]]:
        """Row by row: of the other votes on items that a label was given to, the share of each label.

        Over each vote for the label and each other vote on its item; the labels of `names`, both ways.
        """
        place = {name: position for position, name in enumerate(self.classes)}
        chosen = np.array([place[name] for name in names], dtype=np.int64)
        # Each pair both ways: one vote is the row's, the other the column's.
        row = np.concatenate((self.confusion.first, self.confusion.second))
        column = np.concatenate((self.confusion.second, self.confusion.first))
        pairs = np.tile(self.confusion.pairs, 2)
        of_label = np.bincount(row, pairs, minlength=len(place))
        position = np.full(len(place), -1, dtype=np.int64)
        position[chosen] = np.arange(len(names))
        kept = (position[row] >= 0) & (position[column] >= 0)
        table = np.zeros((len(names), len(names)))
        np.add.at(table, (position[row[kept]], position[column[kept]]), pairs[kept])
        shares: list[list[float]] = (table / np.maximum(of_label[chosen], 1)[:, None]).tolist()
        return shares


def agreement(crowd: Crowd) -> Agreement:
    """Measure a crowd. Every vote counts, those on gold items too: they are answers of people as well.

    The result depends on who answered what alone: not on the order of the votes, and not on chance.
    """
    counts, cell_of_vote = count_labels(crowd)
    figures = {name: measure(counts) for name, measure in COEFFICIENTS.items()}
    given = np.bincount(counts.label, counts.count, minlength=len(crowd.classes)).astype(np.int64)
    labels = np.lexsort((np.arange(len(given)), -given))[:MOST_LABELS]
    measured = sorted(int(label) for label in labels if given[label])
    figures["cohens_kappa"], kappas = mean_kappas(crowd, measured)
    found = Agreement(
        items=len(counts.votes),
        paired_items=int((counts.votes >= 2).sum()),
        solvers=len(np.unique(crowd.solver)),
        votes=len(crowd.answer),
        figures={name: figures[name] for name in FIGURES},
        per_label=[
            LabelAgreement(crowd.classes[label], int(given[label]), _of_label(counts, label, kappa))
            for label, kappa in zip(measured, kappas, strict=True)
        ],
        confusion=confusion(counts),
        of_solvers=deviations(crowd, counts, cell_of_vote),
        classes=crowd.classes,
        solver_names=crowd.solvers,
    )
    found.notes = _notes(found, int((given > 0).sum()))
    return found


def _of_label(counts: Counts, label: int, kappa: Estimate) -> dict[str, Estimate]:
    table = counts.one_against_rest(label)
    figures = {name: measure(table) for name, measure in COEFFICIENTS.items()} | {"cohens_kappa": kappa}
    ordered = {name: figures[name] for name in FIGURES}
    return ordered | {"specific_agreement": specific_agreement(counts, label)}


def _notes(found: Agreement, labels: int) -> list[str]:
    notes = []
    for name, figure in found.figures.items():
        if figure.why:
            what = (
                "" if figure.interval else "has no interval" if figure.value is not None else "is undefined"
            )
            notes.append(f"{name} {what}: {figure.why}" if what else f"{name}: {figure.why}")
    for entry in found.per_label:
        for name, figure in entry.figures.items():
            if figure.value is None and (name not in FIGURES or found.figures[name].value is not None):
                notes.append(f"{name} of label {entry.label!r} is undefined: {figure.why}")
    if labels > len(found.per_label):
        notes.append(
            f"{labels} labels were given; the {len(found.per_label)} with most votes are measured singly"
        )
    return notes
