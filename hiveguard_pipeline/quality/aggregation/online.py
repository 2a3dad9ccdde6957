"""A fit that follows new votes: it costs what the new votes cost, not what all votes would.

Kept are the fitted parameters, the log-likelihood of each item under them, and the expected votes of each
cell (the sufficient statistics of an M-step). A new vote adds its term to its item's log-likelihood, which
gives the item's probabilities to rounding as an E-step over all its votes would; and it adds its item's
probabilities to its cell. The parameters stay those of the fit (so that all items are read under the same
ones) until the next fit, or until `refreshed` makes an M-step of what was added: the stepwise EM of
Cappé and Moulines 2009 (JRSS B 71) with a step of 1 / votes.
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation.aggregate import Aggregate
from hiveguard_pipeline.quality.aggregation.arrays import Reals, add_rows, clamped, normalised
from hiveguard_pipeline.quality.aggregation.decision import decide
from hiveguard_pipeline.quality.aggregation.evidence import gather
from hiveguard_pipeline.quality.aggregation.item_index import ItemIndex
from hiveguard_pipeline.quality.aggregation.models import Model, model_of
from hiveguard_pipeline.quality.aggregation.names import fixed_width
from hiveguard_pipeline.quality.aggregation.posterior import class_codes, gold_codes
from hiveguard_pipeline.quality.aggregation.serial import pack, unpack
from hiveguard_pipeline.quality.aggregation.statistics import Statistics
from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd


@dataclass(slots=True)
class Update:
    """The items that new votes or gold labels touched: their rows in the crowd that brought them.

    label: shape (touched,), in the model's classes; probability: shape (touched, classes).
    """

    items: Integers
    label: Codes
    probability: Reals


@dataclass(slots=True)
class Online:
    """A fit that follows new votes. Make one with `Online.start`.

    items: their rows; log_likelihood: ln P(votes | class), shape (items, classes); gold: shape (items,).
    """

    model: Model
    use_gold: bool
    items: ItemIndex
    log_likelihood: Reals
    gold: Codes
    statistics: Statistics

    @classmethod
    def start(cls, crowd: Crowd, found: Aggregate, *, use_gold: bool = True) -> "Online":
        """From a fit and the crowd that it was fitted to. Raises BadInputError for majority.

        A majority has no parameters: `aggregate` the touched items alone.
        """
        if found.model is None:
            raise BadInputError("a majority has nothing to follow: aggregate the touched items alone")
        evidence = gather(crowd, use_gold=use_gold)
        likelihood = np.zeros(found.probability.shape)
        errors = found.model.log_errors(evidence.cells.solver, evidence.cells.answer)
        likelihood[evidence.rows] = evidence.log_likelihood(errors)
        gold = crowd.gold.copy() if use_gold else np.full(len(likelihood), NO_LABEL, dtype=np.int32)
        return cls(
            found.model,
            use_gold,
            ItemIndex.of(fixed_width(crowd.item_ids)),
            likelihood,
            gold,
            Statistics.of(evidence.cells, evidence.counts(found.probability[evidence.rows]), crowd.solvers),
        )

    def update(self, new: Crowd) -> Update:
        """Take new votes in, each one once. new: the votes that have come, and their items' gold labels.

        Items and solvers may be new. Raises BadInputError, and changes nothing, where a vote or a gold
        label names a class that the fit has not seen: fit again.
        """
        used = np.bincount(new.answer, minlength=len(new.classes)) > 0
        answer = class_codes(self.model, new, used)[new.answer]
        gold = gold_codes(self.model, new) if self.use_gold else np.full(len(new.gold), NO_LABEL)
        counts = np.diff(new.offsets)
        touched = np.flatnonzero((counts > 0) | (gold != NO_LABEL))
        rows = self._rows(new, touched)
        self.gold[rows] = np.where(gold[touched] != NO_LABEL, gold[touched], self.gold[rows])
        solver = self.statistics.solver_codes(new.solvers)[new.solver]
        item = np.repeat(np.arange(len(touched)), counts[touched])
        known = np.where(solver < len(self.model.solvers), solver, -1)
        add_rows(self.log_likelihood, rows[item], self.model.log_errors(known, answer))
        found = self.probability(rows)
        self.statistics.add(solver, answer, found[item])
        return Update(touched, decide(found), found)

    def probability(self, rows: Integers) -> Reals:
        """P(class | votes) of some rows: shape (rows, classes); gold items clamped."""
        found = normalised(self.log_likelihood[rows], self.model.class_prior)
        return clamped(found, self.gold[rows])

    @property
    def solvers(self) -> list[str]:
        """Names by code: those of the fit, then the new ones as they came."""
        return self.statistics.solvers

    def solver_accuracy(self) -> Reals:
        """Each solver's expected share of right votes, with the votes since the fit: shape (solvers,)."""
        return self.statistics.accuracy(self.model)

    def refreshed(self) -> Model:
        """The parameters that the statistics give now: one M-step, new solvers with it."""
        return self.statistics.model(self.model)

    def _rows(self, new: Crowd, touched: Integers) -> Integers:
        """The rows of some items of a crowd, with new ones for those that were not there."""
        rows = self.items.rows(fixed_width(new.item_ids)[touched])
        added = len(self.items) - len(self.gold)
        if added:
            nothing = np.zeros((added, self.log_likelihood.shape[1]))
            self.log_likelihood = np.concatenate([self.log_likelihood, nothing])
            self.gold = np.concatenate([self.gold, np.full(added, NO_LABEL, dtype=np.int32)])
        return rows

    def to_bytes(self) -> bytes:
        """All of it as bytes that `from_bytes` reads; no pickle."""
        return pack(
            {
                "model": np.frombuffer(self.model.to_bytes(), dtype=np.uint8),
                "use_gold": [self.use_gold],
                "item_names": self.items.names,
                "item_row": self.items.row,
                "log_likelihood": self.log_likelihood,
                "gold": self.gold,
                **self.statistics.arrays(),
            },
            solvers=self.statistics.solvers,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Online":
        """What `to_bytes` wrote. Raises BadInputError for other bytes."""
        arrays, said = unpack(data)
        try:
            return cls(
                model_of(*unpack(arrays["model"].tobytes())),
                bool(arrays["use_gold"][0]),
                ItemIndex(arrays["item_names"], arrays["item_row"]),
                arrays["log_likelihood"],
                arrays["gold"],
                Statistics.from_arrays(arrays, said["solvers"]),
            )
        except (KeyError, IndexError) as error:
            raise BadInputError(f"these bytes are no running fit of HiveGuard ({error}): fit again") from None
