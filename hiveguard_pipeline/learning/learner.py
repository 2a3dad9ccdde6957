"""ActiveLearner: asks a model about a pool, and a strategy which items to ask people next.

It trains nothing and keeps no labels: its user fits the model, and asks again. The selectors do the work;
here is what they need: candidates, probabilities, embeddings, and warnings that reach the user.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.model_answers import (
    Model,
    committee_of,
    count,
    embedding_of,
    is_fitted,
    probabilities_of,
    take,
)
from hiveguard_pipeline.learning.pool import Pool, Pools
from hiveguard_pipeline.learning.selection import DEFAULT, STRATEGIES, Selection, SelectionWarning, select
from hiveguard_pipeline.learning.selection.inputs import wanted

Positions = NDArray[np.int64]

POOL_SIZE = 100_000
"""Candidates that a model is asked about, at most."""

_PROBE = 64
"""Items by whose probabilities a model is known again."""


class ActiveLearner:
    """Picks the items of a pool that are worth asking."""

    def __init__(
        self,
        model: Model | Sequence[Model] | None = None,
        strategy: str = DEFAULT,
        pool_size: int = POOL_SIZE,
        dataset: str | None = None,
        *,
        seed: int = 0,
        pools: Pools | None = None,
    ) -> None:
        """model: anything with `predict_proba`, several for a committee, None before there is one.

        strategy: of selection.STRATEGIES. pool_size: of a larger pool, as many are drawn at random and
        scored. dataset: whose pool is asked where `query` gets no X; by default the only one there is. pools:
        where datasets come from; by default the store that the environment names. Raises BadInputError.
        """
        if strategy not in STRATEGIES:
            raise BadInputError(f"no strategy {strategy!r}: there are {', '.join(STRATEGIES)}")
        if pool_size < 1:
            raise BadInputError(f"pool_size is {pool_size}; expected at least 1")
        self.model = model
        self.strategy = strategy
        self.pool_size = pool_size
        self.dataset = dataset
        self.seed = seed
        self.last_selection: Selection | None = None
        self._pools = pools
        self._asked: tuple[Any, NDArray[Any], int] | None = None
        self._own: _OwnPool | None = None

    @property
    def last_uncertainty_mean(self) -> float | None:
        """Mean uncertainty of the items that the last query picked; None before one, or without a model."""
        return None if self.last_selection is None else self.last_selection.uncertainty_mean

    def query(self, n_instances: int = 100, X: Any = None, labelled: Any = None) -> Positions:  # noqa: N803
        """Positions in the pool of the items to ask next, the first one first: shape (n_instances,), int64.

        X: features or texts of the pool, labelled: of the items that have a label; both from the dataset
        where X is None. A query that is too large, or of a model that has not learnt since, gets a
        SelectionWarning; what else there is to know is in `last_selection.notes`. The same question has the
        same answer. Raises BadInputError.
        """
        own = None
        if X is None:
            own = _OwnPool.of(self._dataset_pool(), self._own)
            X = own.pool.features()  # noqa: N806
            labelled = own.pool.labelled() if labelled is None else labelled
        size, known = count(X), None if labelled is None else count(labelled)
        candidates, drawn = self._candidates(size, wanted(n_instances, size))
        ids = None if own is None else own.item_ids
        among = X if candidates is None else take(X, candidates)
        selection = select(
            self.strategy,
            n_instances,
            **self._inputs(among, labelled),
            labelled=known,
            pool=size,
            seed=self.seed,
            ties=self._ties(count(among), ids, candidates),
        )
        positions = selection.positions if candidates is None else candidates[selection.positions]
        stale = self._stale(among, known)
        self.last_selection = replace(selection, positions=positions).noted(*drawn).cautioned(*stale)
        for caution in self.last_selection.cautions:
            warnings.warn(caution, SelectionWarning, stacklevel=2)
        self._own = own
        if own is not None:
            own.returned.update(positions.tolist())
        return positions

    def export_to_label_studio(self, indices: ArrayLike, project_id: int | None = None) -> int:
        """Send items that `query` returned to a Label Studio project; how many tasks are new there.

        indices: positions in the dataset's own pool. Raises BadInputError for positions that are not of it,
        or that no query returned: another item may stand there by now.
        """
        positions = np.asarray(indices)
        if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
            raise BadInputError("indices: expected a list of positions, as query returns them")
        if self._own is None:
            raise BadInputError(
                "these positions are not of a dataset's own pool: the last query was given X, or there was"
                " none. Query without X, then export what it returns"
            )
        unknown = [position for position in positions.tolist() if position not in self._own.returned]
        if unknown:
            raise BadInputError(
                f"position {unknown[0]} was not returned by a query of the dataset's pool as it is now"
                f" ({len(unknown)} of {len(positions)} were not): export what the last query returned"
            )
        return self._own.pool.push_to_label_studio(self._own.item_ids[positions].tolist(), project_id)

    def _candidates(self, size: int, n: int) -> tuple[Positions | None, tuple[str, ...]]:
        """Which items are scored (None: all), in rising position, and what to say of it."""
        most = max(self.pool_size, n)
        if size <= most or self.strategy == "random":
            return None, ()
        drawn = np.sort(np.random.default_rng(self.seed).choice(size, most, replace=False)).astype(np.int64)
        return drawn, (f"{most} of {size} items of the pool, drawn at random, were scored",)

    def _ties(self, size: int, ids: NDArray[Any] | None, candidates: Positions | None) -> NDArray[Any]:
        """Item ids where there are some; else shuffled: data is often stored class by class."""
        if ids is None:
            return np.random.default_rng(self.seed).permutation(size)
        return ids if candidates is None else ids[candidates]

    def _inputs(self, x: Any, labelled: Any) -> dict[str, Any]:
        """What the strategy needs, by argument of `select`."""
        models = _several(self.model)
        fitted = bool(models) and all(map(is_fitted, models))
        if self.strategy in ("uncertainty", "committee") and not fitted:
            raise BadInputError(
                f"strategy {self.strategy} asks a model, and none was fitted: for the first batch use"
                " hybrid, diversity or random"
            )
        if self.strategy == "committee":
            if len(models) < 2:
                raise BadInputError("strategy committee: give model a list of two or more models")
            return {"committee": committee_of(models, x)}
        inputs: dict[str, Any] = {}
        if fitted and self.strategy in ("uncertainty", "hybrid"):
            inputs["probabilities"] = np.mean(committee_of(models, x), axis=0)
        if self.strategy in ("diversity", "hybrid"):
            inputs.update(
                self._places(models[0] if models else None, x, labelled, inputs.get("probabilities"))
            )
        return inputs

    def _places(self, model: Any, x: Any, labelled: Any, probabilities: Any) -> dict[str, Any]:
        """The embeddings of the pool and of the labelled items."""
        embedding = embedding_of(model, x, self.seed)
        if embedding is None:
            if probabilities is None:
                raise BadInputError(
                    f"strategy {self.strategy} compares items, and these are not numbers: give X as features"
                    " of shape (items, dimensions), or a model with embed(X)"
                )
            return {"embedding": probabilities}  # items are then unlike if the model doubts other classes
        if probabilities is not None or labelled is None or not count(labelled):
            return {"embedding": embedding}
        return {"embedding": embedding, "labelled_embedding": embedding_of(model, labelled, self.seed)}

    def _stale(self, x: Any, labelled: int | None) -> tuple[str, ...]:
        """What to say if labels came since the last query and the model answers as it did then."""
        models = _several(self.model)
        if self.strategy not in ("uncertainty", "committee", "hybrid") or not all(map(is_fitted, models)):
            return ()
        if not models or labelled is None:
            return ()
        found: tuple[str, ...] = ()
        if self._asked is not None:
            probe, answers, before = self._asked
            if labelled > before and _same(answers, _answers(models, probe)):
                found = (
                    f"{labelled - before} labels came since the last query, and the model answers as it did"
                    " then: fit it again. Ranking by a stale model was worse than drawing at random",
                )
        probe = take(x, np.arange(min(_PROBE, count(x))))
        self._asked = (probe, _answers(models, probe), labelled)
        return found

    def _dataset_pool(self) -> Pool:
        if self._pools is None:
            from hiveguard_pipeline.learning.own_pools import StorePools

            self._pools = StorePools.from_environment()
        names = list(self._pools.datasets())
        if self.dataset is None and len(names) != 1:
            said = f"there are {', '.join(names)}: name one with dataset=" if names else "there is no dataset"
            raise BadInputError(f"whose pool? {said}")
        name = names[0] if self.dataset is None else self.dataset
        if name not in names:
            raise BadInputError(f"no dataset {name!r}: there are {', '.join(names) or 'none'}")
        return self._pools.pool(name)


class _OwnPool:
    """The dataset's pool as the last query saw it, and the positions in it that were returned."""

    def __init__(self, pool: Pool, item_ids: NDArray[np.str_], returned: set[int]) -> None:
        self.pool = pool
        self.item_ids = item_ids
        self.returned = returned

    @classmethod
    def of(cls, pool: Pool, before: "_OwnPool | None") -> "_OwnPool":
        """Positions of an earlier query still hold if the same items stand in the same order."""
        item_ids = np.array(pool.item_ids)
        if before is not None and np.array_equal(before.item_ids, item_ids):
            return cls(pool, item_ids, before.returned)
        return cls(pool, item_ids, set())


def _several(model: Any) -> list[Any]:
    if model is None:
        return []
    return list(model) if isinstance(model, (list, tuple)) else [model]


def _answers(models: list[Any], x: Any) -> NDArray[Any]:
    return (
        np.stack([probabilities_of(model, x) for model in models])
        if len(models) == 1
        else np.concatenate(committee_of(models, x))
    )


def _same(before: NDArray[Any], now: NDArray[Any]) -> bool:
    return before.shape == now.shape and bool(np.allclose(before, now, rtol=0, atol=1e-12))
