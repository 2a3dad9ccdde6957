"""What every strategy gives back."""

from dataclasses import dataclass, field, replace

from hiveguard_pipeline.learning.selection.inputs import Positions, Reals


@dataclass(frozen=True, slots=True)
class Selection:
    """Items to ask next, the first one first."""

    positions: Positions
    """Of the picked items in the pool, in rank order: shape (n,), int64."""
    scores: Reals
    """What they were ranked by, in the unit of the strategy: shape (n,)."""
    uncertainty_mean: float | None = None
    """Mean uncertainty of the picked items (0 = sure); None where nothing says how sure a model is."""
    notes: tuple[str, ...] = field(default=())
    """What a person should know of these picks: what was left out, what was done instead, what may harm."""

    cautions: tuple[str, ...] = field(default=())
    """Those of the notes that say what may harm: worth a warning."""

    def noted(self, *notes: str) -> "Selection":
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def cautioned(self, *cautions: str) -> "Selection":
        """The same with more cautions, which are notes too."""
        return replace(self.noted(*cautions), cautions=(*self.cautions, *cautions))
