"""Classes that change: labels and answers read under the classes that held when a row was written.

A change of classes maps names to names. History is not rewritten: a row of the ledger speaks of the classes
of its era, and so an answer agrees with its label when it means that label under the classes of that era.
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import FirstPasses, Judge, Votes
from hiveguard_pipeline.rules.majority import first_pass


@dataclass(slots=True)
class Eras:
    """Judges answers and labels under the classes of a row's era.

    mapping: shape (eras, codes + 1), int32: the code that each answer or label means in each era; the last
    column is that of NO_LABEL, which means itself. inner: what agreeing means within an era; None: being the
    same answer. Implements `rules.columns.Judge`.
    """

    mapping: Codes
    inner: Judge | None = None

    def agree(self, answers: Codes, labels: Codes, era: Integers | None) -> Mask:
        """Whether each answer, as it reads in its era, agrees with the label beside it as that stands."""
        read = self._read(answers, era)
        return np.asarray(read == labels if self.inner is None else self.inner.agree(read, labels, None))

    def carried(self, labels: Codes, era: Integers) -> Codes:
        """Labels that were given in an earlier era or in this one, as they read in this one."""
        return self._read(labels, era)

    def first_passes(self, votes: Votes, threshold: int, era: Integers | None) -> FirstPasses:
        """The first label of each item, from its answers as they read in the item's era."""
        of_votes = None if era is None else np.repeat(era, np.diff(votes.offsets))
        begin, end = votes.offsets[0], votes.offsets[-1]
        read = Votes(votes.offsets - begin, self._read(votes.answers[begin:end], of_votes), self.inner)
        return first_pass(read, threshold)

    def _read(self, codes: Codes, era: Integers | None) -> Codes:
        return np.asarray(self.mapping[-1 if era is None else era, codes])
