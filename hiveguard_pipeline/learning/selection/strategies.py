"""The strategies by name, and what each needs. `select` in `choose` runs them."""

from dataclasses import dataclass

DEFAULT = "hybrid"

UNSURE = ("probabilities", "scores")
"""What says how sure a model is."""

_UNCERTAINTY_METHODS = ("margin", "least_confident", "entropy")


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to choose."""

    name: str
    summary: str
    needs: tuple[tuple[str, ...], ...] = ()
    """Arguments of `select`: of each group, exactly one must be given."""
    takes: tuple[str, ...] = ()
    """Arguments that it uses where they are given."""
    methods: tuple[str, ...] = ()
    """What `method` may be, the default first."""


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            "uncertainty", "where the model is least sure", needs=(UNSURE,), methods=_UNCERTAINTY_METHODS
        ),
        Strategy(
            "committee",
            "where several models, or the people who voted, disagree",
            needs=(("committee", "votes"),),
            methods=("vote_entropy", "kl"),
        ),
        Strategy(
            "diversity",
            "what is unlike everything that is labelled",
            needs=(("embedding",),),
            takes=("labelled_embedding", *UNSURE),
        ),
        Strategy(
            "hybrid",
            "where the model is unsure, each pick unlike the others",
            needs=(("embedding",),),
            takes=("labelled_embedding", *UNSURE),
            methods=_UNCERTAINTY_METHODS,
        ),
        Strategy("random", "at random", takes=UNSURE),
    )
}
