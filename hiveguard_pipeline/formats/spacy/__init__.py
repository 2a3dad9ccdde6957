"""spaCy's DocBin files, through the library."""

from hiveguard_pipeline.formats.spacy.format import FORMAT

__all__ = ["FORMAT"]
