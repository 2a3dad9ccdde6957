"""What is believed of solvers and classes before any vote: pseudo-votes and pseudo-items."""

from dataclasses import dataclass

from hiveguard_pipeline.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Prior:
    """Dirichlet priors as counts that are added to what the votes say.

    correct, wrong: pseudo-votes of each solver on each true class, for the right answer and for each wrong
    one (a Dirichlet with parameters 1 + correct and 1 + wrong; for one-coin a Beta with 1 + correct and
    1 + (classes - 1) x wrong). classes: pseudo-items of each class. All 0: maximum likelihood, as Dawid and
    Skene have it.
    """

    correct: float = 0.0
    wrong: float = 0.0
    classes: float = 0.0

    def __post_init__(self) -> None:
        for name in ("correct", "wrong", "classes"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise BadInputError(f"the prior's {name} is a count, 0 or more, not {value!r}")


NO_PRIOR = Prior()
