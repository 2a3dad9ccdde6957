"""A ranking that is handed out in parts, and says so when its model is out of date."""

import warnings

from hiveguard_pipeline.learning.selection.cautions import SelectionWarning, UsedUpError, stale_model
from hiveguard_pipeline.learning.selection.inputs import wanted
from hiveguard_pipeline.learning.selection.selected import Selection


class Ranking:
    """Picks of one model, taken from the first on: rank once a model, not once a batch.

    Uncertainty, committees and `random` may be cut into batches so. Of `hybrid` and `diversity` a batch cut
    from a larger one is not the batch that would have been picked.
    """

    def __init__(self, selection: Selection, *, model_version: str, labelled: int) -> None:
        """model_version: of the model that scored the pool; labelled: how many labels there were then."""
        self.selection = selection
        self.model_version = model_version
        self.labelled = labelled
        self._taken = 0

    @property
    def left(self) -> int:
        """How many items have not been taken."""
        return len(self.selection.positions) - self._taken

    def take(self, n: int, *, model_version: str, labelled: int) -> Selection:
        """The next n, or those that are left.

        With another model, or more labels, than when the ranking was made: a SelectionWarning, with the same
        text in the notes of what is returned. Raises UsedUpError when nothing is left.
        """
        if not self.left:
            raise UsedUpError("this ranking has been used up: train and rank again")
        taken = slice(self._taken, self._taken + wanted(min(n, self.left), self.left))
        self._taken = taken.stop
        scores = self.selection.scores[taken]
        mean = None if self.selection.uncertainty_mean is None else float(scores.mean())
        part = Selection(self.selection.positions[taken], scores, mean, self.selection.notes)
        if model_version == self.model_version and labelled <= self.labelled:
            return part
        note = stale_model(self.model_version, model_version, labelled - self.labelled)
        warnings.warn(note, SelectionWarning, stacklevel=2)
        return part.cautioned(note)
