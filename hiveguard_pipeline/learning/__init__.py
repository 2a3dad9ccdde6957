"""Active learning: which items to ask next, by what a model knows so far."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiveguard_pipeline.learning.learner import ActiveLearner

__all__ = ["ActiveLearner"]


def __getattr__(name: str) -> Any:
    """The public class, imported when it is asked for."""
    if name == "ActiveLearner":
        from hiveguard_pipeline.learning.learner import ActiveLearner

        return ActiveLearner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
