"""DocBin files as spaCy reads them: the library where it is installed, and limits for what is unpacked."""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.serialised import shown
from hiveguard_pipeline.formats.text_lines import open_file

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

LARGEST_UNPACKED = 256 << 20
"""Bytes that a file may have when it is unpacked; spaCy holds it whole."""
_CHUNK = 1 << 20
_LONGEST_TEXT = 1 << 30


@cache
def blank_language(code: str) -> "Language":
    """spaCy's tokenizer of a language. Raises BadInputError where spaCy or the language is not there."""
    try:
        import spacy
    except ImportError:
        raise BadInputError("spaCy is not installed; run: pip install 'hiveguard-pipeline[spacy]'") from None
    try:
        language = spacy.blank(code)
    except (ImportError, ValueError, OSError):
        raise BadInputError(
            f"spaCy has no tokenizer for the language {shown(code)} here; xx serves any language."
        ) from None
    language.max_length = _LONGEST_TEXT
    return language


def docs_of(path: Path) -> Iterator[tuple[int, "Doc"]]:
    """Each doc of a file with its number from 1.

    Raises BadInputError for what is no DocBin, or unpacks to more than LARGEST_UNPACKED bytes.
    """
    blank_language("xx")
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    packed = _checked(path)
    try:
        _check_columns(packed)
        docs = DocBin().from_bytes(packed)
        # What a foreign program keeps there is nobody's label.
        docs.user_data = []
        # Words of its own: those of a file read before would hide that this one lacks some.
        for number, doc in enumerate(docs.get_docs(Vocab()), start=1):
            _check_groups(doc)
            yield number, doc
    except (
        *(ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError),
        *(zlib.error, struct.error),
    ) as error:
        raise BadInputError(f"{path}: not a DocBin file that spaCy can read: {_short(error)}.") from None


def _checked(path: Path) -> bytes:
    """The bytes of a file, after its unpacked size was counted."""
    with open_file(path) as stream:
        packed = stream.read(LARGEST_UNPACKED + 1)
    unpacker = zlib.decompressobj()
    size = 0
    rest = packed
    try:
        while rest and not unpacker.eof:
            size += len(unpacker.decompress(rest, _CHUNK))
            rest = unpacker.unconsumed_tail
            if size > LARGEST_UNPACKED or len(packed) > LARGEST_UNPACKED:
                raise BadInputError(
                    f"{path}: unpacked it has more than {LARGEST_UNPACKED >> 20} MB; split the file."
                )
    except zlib.error as error:
        raise BadInputError(f"{path}: not a DocBin file that spaCy can read: {error}.") from None
    return packed


def _check_columns(packed: bytes) -> None:
    """What spaCy's compiled code takes on trust: kinds of values, and as many of everything."""
    import numpy as np
    import srsly

    said = srsly.msgpack_loads(zlib.decompress(packed))
    attributes, lengths = said["attrs"], np.frombuffer(said["lengths"], dtype="int32").astype("int64")
    if not all(type(one) is int for one in attributes) or len(set(attributes)) != len(attributes):
        raise ValueError("attrs are no numbers of columns")
    words = int(lengths.sum())
    if (lengths < 0).any() or len(said["spaces"]) != words:
        raise ValueError("words and spaces differ in number")
    if not attributes or len(said["tokens"]) != 8 * words * len(attributes):
        raise ValueError("words and their columns differ in number")
    if not _all_are(said["strings"], str):
        raise ValueError("strings are no texts")
    for name, kind in (("cats", dict), ("flags", dict), ("span_groups", bytes)):
        if name in said and (len(said[name]) != len(lengths) or not _all_are(said[name], kind)):
            raise ValueError(f"{name} are not one for each text")
    for cats in said["cats"]:
        if not _all_are(cats, str) or not all(type(one) in (int, float, bool) for one in cats.values()):
            raise ValueError("cats are no shares by class")
        if not all(map(math.isfinite, cats.values())):
            raise ValueError("a share is no finite number")


def _all_are(values: Iterable[object], kind: type) -> bool:
    return all(type(one) is kind for one in values)


def _check_groups(doc: "Doc") -> None:
    """The spans of a doc must lie in it, begin and end where they say, and have a label that is a word."""
    for ent in doc.ents:
        _ = ent.label_
    for group in doc.spans.values():
        for span in group:
            if not 0 <= span.start < span.end <= len(doc):
                raise ValueError(f"a span from word {span.start} to {span.end} of {len(doc)}")
            _ = span.label_
            last = doc[span.end - 1]
            if span.start_char != doc[span.start].idx or span.end_char != last.idx + len(last):
                raise ValueError(f"a span that is said to begin at character {span.start_char}")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
