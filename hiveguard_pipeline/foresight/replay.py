"""A crowd's votes folded from the first one on under a policy, in memory: by the documented rule, or by
the probability of a calibration.

Under adaptive graduation all votes are read with the dataset's newest calibration, as no run has read them:
a run has the calibration of its day. It was made of these very votes, so that it is surer of solvers with
few votes than it could have been when they answered. A gold item, whose truth it was given too, is judged
without what its own votes said of its solvers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.adaptive import adaptive_fold, settle
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.calibrated import Reals
from hiveguard_pipeline.rules.columns import NO_LABEL, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import State
from hiveguard_pipeline.store.calibrations import Fit, RecordedCalibration, fit_of, newest_calibration
from hiveguard_pipeline.store.crowd import Crowd
from hiveguard_pipeline.store.datasets import Dataset

CELLS_AT_ONCE = 4_000_000
"""Votes times classes that are judged at once: 32 MB a column of them."""


@dataclass(slots=True)
class Learnt:
    """A calibration as it is recorded, and its fit."""

    recorded: RecordedCalibration
    fit: Fit

    def named(self, crowd: Crowd) -> Crowd:
        """The crowd with codes for the fit's classes too, after its own."""
        others = sorted(set(self.fit.classes) - set(crowd.classes))
        return replace(crowd, classes=crowd.classes + others)


@dataclass(slots=True)
class Replayed:
    """All items after all their votes under a policy. applied: votes of each that its rule took.

    settled: items in review that all their votes would settle, those after their exit too; None under the
    documented rule. Shapes (items,).
    """

    items: Items
    applied: Integers
    settled: Mask | None


def newest_learnt(connection: sa.Connection, dataset: Dataset) -> Learnt:
    """The dataset's newest calibration; raises BadInputError where it has none."""
    recorded = newest_calibration(connection, dataset)
    if recorded is None:
        raise BadInputError(
            f"adaptive graduation takes a calibration, and {dataset.name} has none of its classes:"
            f" `hiveguard quality calibrate --dataset {dataset.name}` makes one"
        )
    return Learnt(recorded, fit_of(connection, recorded.calibration_id))


def replay(crowd: Crowd, policy: Policy, learnt: Learnt | None) -> Replayed:
    """Fold every vote of a crowd. learnt: must be there for an adaptive policy, and have named the crowd."""
    if not policy.is_adaptive:
        done = fold(crowd.votes, Items.unlabeled(len(crowd.item_ids)), policy)
        return Replayed(done.items, done.applied, None)
    assert learnt is not None
    fit = learnt.fit
    whole = Replayed(
        Items.unlabeled(len(crowd.item_ids)),
        np.zeros(len(crowd.item_ids), dtype=np.int64),
        np.zeros(len(crowd.item_ids), dtype=bool),
    )
    solver, answer = fit.codes(
        pa.array(crowd.solvers, type=pa.string()), pa.array(crowd.classes, type=pa.string())
    )
    code = _codes_in(crowd, fit)
    truth = np.append(answer, NO_LABEL)[crowd.gold]
    for part in _parts(crowd.offsets, max(CELLS_AT_ONCE // max(len(fit.classes), 1), 1)):
        begin, end = crowd.offsets[[part.start, part.stop]].tolist()
        votes = Votes(crowd.offsets[part.start : part.stop + 1] - begin, answer[crowd.answer[begin:end]])
        seen = crowd.vote_id[begin:end] <= learnt.recorded.horizon
        known = np.where(seen, np.repeat(truth[part], np.diff(votes.offsets)), NO_LABEL)
        evidence = blind_evidence(fit, solver[crowd.solver[begin:end]], votes.answers, known)
        _replay_part(votes, evidence, fit, policy, code, part, whole)
    return whole


def blind_evidence(fit: Fit, solver: Codes, answer: Codes, truth: Codes) -> Reals:
    """ln P(vote | class) of votes, without what a vote on a gold item said of its solver: (votes, classes).

    truth: code of the true class where the fit knew it, else NO_LABEL; codes are the fit's, shapes (votes,).
    Such a vote was counted whole under the true class, and is taken out of that count: the jackknife, one
    item left out (Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 11).
    """
    found = fit.evidence(solver, answer)
    own = np.flatnonzero((truth >= 0) & (solver >= 0) & (answer >= 0))
    under = truth[own]
    whole = np.exp(fit.log_whole[solver[own], under])
    counted = np.exp(found[own, under]) * whole
    prior = np.exp(np.where(answer[own] == under, fit.log_right, fit.log_wrong))
    left = np.maximum(counted - 1, prior)
    found[own, under] = np.log(left / (whole - (counted - left)))
    return found


def _replay_part(
    votes: Votes, evidence: Reals, fit: Fit, policy: Policy, code: Codes, part: slice, whole: Replayed
) -> None:
    """Fold a run of items by probability, and write what came of it. votes: in the fit's codes."""
    counts = np.diff(votes.offsets)
    done = adaptive_fold(votes, Items.unlabeled(len(counts)), evidence, fit.knowledge, policy)
    items = whole.items
    items.label[part] = code[done.items.label]
    items.confidence[part] = done.items.confidence
    items.vote_count[part] = done.items.vote_count
    items.revalidation_vote_count[part] = done.items.revalidation_vote_count
    items.state[part] = done.items.state
    whole.applied[part] = done.applied

    flagged = (done.items.state == State.NEEDS_REVIEW) & (done.applied < counts)
    again = settle(
        votes.only(np.flatnonzero(flagged)),
        _only(done.items, np.flatnonzero(flagged)),
        evidence[np.repeat(flagged, counts)],
        fit.knowledge,
        policy,
    )
    assert whole.settled is not None
    whole.settled[part.start + np.flatnonzero(flagged)] = again.items.state == State.GRADUATED


def _only(items: Items, chosen: Integers) -> Items:
    """Some of the items."""
    return Items(
        items.label[chosen],
        items.confidence[chosen],
        items.vote_count[chosen],
        items.revalidation_vote_count[chosen],
        items.state[chosen],
    )


def _codes_in(crowd: Crowd, fit: Fit) -> Codes:
    """The crowd's code of each of the fit's, and NO_LABEL last, where -1 finds it."""
    number = {name: code for code, name in enumerate(crowd.classes)}
    return np.array([number[name] for name in fit.classes] + [NO_LABEL], dtype=np.int32)


def _parts(offsets: Integers, votes: int) -> Iterator[slice]:
    """Runs of items with so many votes each, but for an item that has more alone."""
    start, items = 0, len(offsets) - 1
    while start < items:
        stop = int(np.searchsorted(offsets, offsets[start] + votes, side="right")) - 1
        stop = max(stop, start + 1)
        yield slice(start, stop)
        start = stop
