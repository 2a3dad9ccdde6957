"""Annotation formats: readers and writers over one model, and what is lost between them.

FormatConverter is what other programs call; FORMATS names the formats. The modules of formats are imported
only when used.
"""

from hiveguard_pipeline.formats.convert import Conversion, FormatConverter, write_source
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item, Source
from hiveguard_pipeline.formats.names import checked_name
from hiveguard_pipeline.formats.registry import FORMATS, open_format

__all__ = [
    "FORMATS",
    "Annotation",
    "Category",
    "Conversion",
    "FormatConverter",
    "Header",
    "Item",
    "Options",
    "Source",
    "checked_name",
    "open_format",
    "write_source",
]
