"""Hugging Face Datasets, through the library."""

from hiveguard_pipeline.formats.huggingface.format import FORMAT

__all__ = ["FORMAT"]
