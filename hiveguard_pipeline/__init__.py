"""HiveGuard pipeline: crowd votes in, labels that a training job can trust out."""

__version__ = "0.1.0"
