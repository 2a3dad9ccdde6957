"""One function for all strategies: it checks that what a strategy needs is there, and runs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection import committee as committees
from hiveguard_pipeline.learning.selection.at_random import at_random
from hiveguard_pipeline.learning.selection.cautions import large_query
from hiveguard_pipeline.learning.selection.diversity import diversity
from hiveguard_pipeline.learning.selection.hybrid import cold_start, hybrid
from hiveguard_pipeline.learning.selection.inputs import Positions, column, matrix, tie_keys, wanted
from hiveguard_pipeline.learning.selection.selected import Selection
from hiveguard_pipeline.learning.selection.strategies import STRATEGIES, Strategy
from hiveguard_pipeline.learning.selection.uncertainty import most_uncertain, uncertainty, uncertainty_scores

MOST_SPREAD = 100_000
"""Items among which k-centre looks; of a larger pool, the least sure ones, or as many at random."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Query:
    """The arguments of one call, checked for being there and of one length."""

    n: int
    size: int
    probabilities: Array | None
    committee: list[Array] | None
    votes: Array | None
    scores: Array | None
    embedding: Array | None
    labelled_embedding: Array | None
    method: Any
    seed: int
    ties: Array | None

    @property
    def unsure(self) -> bool:
        """Whether anything says how sure a model is."""
        return self.probabilities is not None or self.scores is not None

    def uncertainty(self, positions: Positions) -> float | None:
        """The mean uncertainty of some items, for a strategy that does not rank by it."""
        if self.scores is not None:
            return float(self.scores[positions].mean())
        if self.probabilities is not None:
            return float(uncertainty_scores(self.probabilities[positions]).mean())
        return None


def select(
    strategy: str,
    n: int,
    *,
    probabilities: ArrayLike | None = None,
    committee: Sequence[ArrayLike] | None = None,
    votes: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    embedding: ArrayLike | None = None,
    labelled_embedding: ArrayLike | None = None,
    method: str | None = None,
    labelled: int | None = None,
    pool: int | None = None,
    seed: int = 0,
    ties: Sequence[Any] | Array | None = None,
) -> Selection:
    """n items of a pool by a strategy of STRATEGIES, the first to ask first.

    Everything but labelled_embedding has a row (probabilities and each member of the committee: of classes;
    votes: counts of answers; scores: one number, higher = less sure) for each item of the pool, at the same
    position. labelled: how many items have a label (default: rows of labelled_embedding). pool: how many
    items there are, where no array says so or the arrays hold only some of them. ties: a key for each item,
    smallest first among equal scores; default position. The same arguments give the same picks. A query that
    is too large is answered, with a note. Raises BadInputError.
    """
    if strategy not in STRATEGIES:
        raise BadInputError(f"no strategy {strategy!r}: there are {', '.join(STRATEGIES)}")
    rows = {
        "probabilities": _matrix(probabilities, "probabilities"),
        "votes": _matrix(votes, "votes"),
        "scores": None if scores is None else column(scores, "scores"),
        "embedding": _matrix(embedding, "embedding"),
    }
    members = None
    if committee is not None:
        members = [matrix(one, f"committee, model {number}") for number, one in enumerate(committee)]
    _check(STRATEGIES[strategy], {**rows, "committee": members}, method)
    size = _size(rows, members or [], pool)
    whole = size if pool is None else pool
    base = _matrix(labelled_embedding, "labelled embedding")
    query = _Query(
        n=wanted(n, size),
        size=size,
        **rows,
        committee=members,
        labelled_embedding=base,
        method=method or (STRATEGIES[strategy].methods or (None,))[0],
        seed=seed,
        ties=tie_keys(ties, size),
    )
    if labelled is None and base is not None:
        labelled = len(base)
    selection = _RUN[strategy](query)
    asked_a_model = members is not None if strategy == "committee" else query.unsure
    return selection.cautioned(*large_query(strategy, n, whole, labelled)) if asked_a_model else selection


def _uncertainty(query: _Query) -> Selection:
    if query.scores is not None:
        return most_uncertain(query.scores, query.n, ties=query.ties)
    return uncertainty(cast(Array, query.probabilities), query.n, query.method, ties=query.ties)


def _committee(query: _Query) -> Selection:
    if query.committee is None:
        return committees.crowd(cast(Array, query.votes), query.n, ties=query.ties)
    return committees.committee(query.committee, query.n, query.method, ties=query.ties)


def _diversity(query: _Query) -> Selection:
    points = cast(Array, query.embedding)
    most = max(MOST_SPREAD, query.n)
    if query.size <= most:
        found = diversity(points, query.n, query.labelled_embedding, ties=query.ties)
        return replace(found, uncertainty_mean=query.uncertainty(found.positions))
    among, note = _fewer(query, most)
    ties = None if query.ties is None else query.ties[among]
    found = diversity(points[among], query.n, query.labelled_embedding, ties=ties)
    positions = among[found.positions]
    return Selection(positions, found.scores, query.uncertainty(positions), (*found.notes, note))


def _hybrid(query: _Query) -> Selection:
    points = cast(Array, query.embedding)
    if query.unsure:
        return hybrid(
            query.probabilities,
            query.n,
            points,
            scores=query.scores,
            method=query.method,
            seed=query.seed,
            ties=query.ties,
        )
    if query.labelled_embedding is not None and len(query.labelled_embedding):
        return _diversity(query).noted("no model: picked by diversity")
    first = cold_start(points, query.n, seed=query.seed, ties=query.ties)
    return first.noted("no model and no labelled items: picked from the middle of each group of the pool")


def _random(query: _Query) -> Selection:
    drawn = at_random(query.size, query.n, seed=query.seed)
    return Selection(drawn.positions, drawn.scores, query.uncertainty(drawn.positions))


_RUN = {
    "uncertainty": _uncertainty,
    "committee": _committee,
    "diversity": _diversity,
    "hybrid": _hybrid,
    "random": _random,
}


def _fewer(query: _Query, most: int) -> tuple[Positions, str]:
    """The items of a large pool that k-centre looks at, in rising position, and what to say of it."""
    if query.scores is not None:
        unsure = most_uncertain(query.scores, most, ties=query.ties)
    elif query.probabilities is not None:
        unsure = uncertainty(query.probabilities, most, ties=query.ties)
    else:
        unsure = at_random(query.size, most, seed=query.seed)
        return np.sort(unsure.positions), f"picked among {most} of {query.size} items, drawn at random"
    return np.sort(unsure.positions), f"picked among the {most} least sure of {query.size} items"


def _matrix(values: ArrayLike | None, name: str) -> Array | None:
    return None if values is None else matrix(values, name)


def _size(rows: dict[str, Array | None], members: list[Array], pool: int | None) -> int:
    sizes = {name: len(array) for name, array in rows.items() if array is not None}
    sizes.update({f"committee, model {number}": len(array) for number, array in enumerate(members)})
    if not sizes and pool is not None:
        return pool
    if not sizes:
        raise BadInputError("how large is the pool? Give pool, or an array with a row for each item")
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise BadInputError(f"different lengths: {said}; each has a row for each item of the pool")
    size = next(iter(sizes.values()))
    if pool is not None and pool < size:
        raise BadInputError(f"pool is {pool}, and there are {size} items to pick from")
    return size


def _check(strategy: Strategy, given: dict[str, Any], method: str | None) -> None:
    for group in strategy.needs:
        there = [name for name in group if given[name] is not None]
        if len(there) != 1:
            said = f"not {' and '.join(there)}" if there else "none was given"
            raise BadInputError(f"strategy {strategy.name} needs {' or '.join(group)}; {said}")
    if given["probabilities"] is not None and given["scores"] is not None:
        raise BadInputError("probabilities and scores: give one of them")
    if method is not None and method not in strategy.methods:
        expected = ", ".join(strategy.methods) or "none"
        raise BadInputError(f"strategy {strategy.name}, method {method!r}: expected {expected}")
