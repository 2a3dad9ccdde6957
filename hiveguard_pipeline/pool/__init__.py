"""The pool: which items still want votes, and which of them to serve next."""

from hiveguard_pipeline.pool.sample import Drawn, pool_counts, sample, sample_some

__all__ = ["Drawn", "pool_counts", "sample", "sample_some"]
