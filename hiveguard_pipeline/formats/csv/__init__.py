"""CSV: a row an annotation."""

from hiveguard_pipeline.formats.csv.format import FORMAT

__all__ = ["FORMAT"]
