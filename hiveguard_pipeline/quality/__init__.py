"""What votes say of labels and of people: agreement, solvers, aggregation, calibrated probability."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.annotations import QualityAssurance

__all__ = ["QualityAssurance"]


def __getattr__(name: str) -> Any:
    """The public class, imported when it is asked for."""
    if name == "QualityAssurance":
        from hiveguard_pipeline.quality.annotations import QualityAssurance

        return QualityAssurance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
