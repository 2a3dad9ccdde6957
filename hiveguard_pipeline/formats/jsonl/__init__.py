"""JSON lines: the model itself, and other people's lines."""

from hiveguard_pipeline.formats.jsonl.format import FORMAT

__all__ = ["FORMAT"]
