"""XML elements as plain values and back: an element without children is its text, others are dictionaries.

Nothing here knows of boxes. Files come from strangers: a DOCTYPE is refused before anything in it is read,
and a file is held to a size and a depth.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiveguard_pipeline.errors import BadInputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST_FILE = 16 << 20
"""Bytes; some 50,000 objects in one image."""
MOST_TAGS = 1_000_000
"""A small file of many empty elements would take a hundred times its size in memory."""
DEEPEST = 100

Node = tuple[str, "str | list[Node]"]
"""An element to be written: its tag, and its text or its children."""
KEEP_SPACE = ' xml:space="preserve"'
"""What may follow a tag that is written: white space around its text belongs to it (XML 1.0, 2.10)."""
SPACE = "{http://www.w3.org/XML/1998/namespace}space"
"""The same attribute as the parser names it."""

_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OTHER_ENCODING = re.compile(rb"""\0|\xff\xfe|\xfe\xff|encoding\s*=\s*["'](?!utf-8["'])""", re.IGNORECASE)
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ESCAPED = re.compile("[&<>\r]")


def parsed(path: Path, shown: str) -> "Element":
    """The root element of an XML file. Raises BadInputError, naming the file as shown, for what is none."""
    from xml.etree.ElementTree import ParseError, fromstring

    from defusedxml.common import DefusedXmlException, DTDForbidden
    from defusedxml.ElementTree import fromstring as guarded

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInputError(f"{shown}: {error.strerror}") from None
    if len(data) > LARGEST_FILE:
        raise BadInputError(f"{shown}: more than {LARGEST_FILE >> 20} MB for one image; split it up.")
    if data.count(b"<") > MOST_TAGS:
        raise BadInputError(f"{shown}: more than {MOST_TAGS:,} tags for one image; split it up.")
    try:
        # defusedxml parses in Python, four times slower. Without a DOCTYPE there is nothing to guard against,
        # and in UTF-8 it can only be spelt one way.
        if b"<!DOCTYPE" in data or _OTHER_ENCODING.search(data[:200]):
            root: Element = guarded(data, forbid_dtd=True)
        else:
            root = fromstring(data)  # noqa: S314
    except DTDForbidden:
        raise BadInputError(
            f"{shown}: holds a DOCTYPE, by which a file can pull in others; remove that line."
        ) from None
    except DefusedXmlException:
        raise BadInputError(f"{shown}: declares entities or refers to other files; remove them.") from None
    except ParseError as error:
        raise BadInputError(f"{shown}: not well-formed XML: {error}") from None
    except (ValueError, LookupError) as error:
        raise BadInputError(f"{shown}: its text cannot be decoded: {error}") from None
    return root


def value_of(element: "Element", shown: str, depth: int = 0) -> Any:
    """An element as a value: text, or a dictionary by tag; a tag that is repeated gives a list.

    Attributes stand under `@name`, text beside them under `#text`. Raises BadInputError past DEEPEST levels.
    """
    if not len(element) and not element.attrib:
        return element.text or ""
    if depth > DEEPEST:
        raise BadInputError(f"{shown}: elements nested more than {DEEPEST} levels")
    value: dict[str, Any] = {f"@{name}": text for name, text in element.attrib.items()}
    for tag, children in by_tag(element).items():
        read = [value_of(child, shown, depth + 1) for child in children]
        value[tag] = read if len(read) > 1 else read[0]
    if not len(element) and element.text:
        value["#text"] = element.text
    return value


def by_tag(element: "Element") -> "dict[str, list[Element]]":
    """The children by their tag, each tag's in file order."""
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(child.tag, []).append(child)
    return children


def nodes_of(tag: str, value: Any) -> list[Node] | None:
    """The elements that `value_of` would read as this value, or None where there are none."""
    if type(value) is str:
        return [(tag, value)] if _TAG.match(tag) and is_writable(value) else None
    if type(value) is list and len(value) > 1 and not any(type(one) is list for one in value):
        repeated = [nodes_of(tag, one) for one in value]
        return None if None in repeated else [node for nodes in repeated if nodes for node in nodes]
    if type(value) is dict and value and _TAG.match(tag):
        inside: list[Node] = []
        for key, one in value.items():
            nodes = nodes_of(key, one)
            if nodes is None:
                return None
            inside.extend(nodes)
        return [(tag, inside)]
    return None


def is_writable(text: str) -> bool:
    """Whether XML can hold a text: no control characters, no halves of characters (XML 1.0, 2.2)."""
    return _NO_CHARACTER.search(text) is None


def rendered(nodes: list[Node], indent: str) -> str:
    """Elements as lines of XML."""
    lines = []
    for tag, inside in nodes:
        if isinstance(inside, str):
            end = tag.removesuffix(KEEP_SPACE)
            lines.append(f"{indent}<{tag}>{_ESCAPED.sub(_escape, inside)}</{end}>\n")
        else:
            lines.append(f"{indent}<{tag}>\n{rendered(inside, indent + chr(9))}{indent}</{tag}>\n")
    return "".join(lines)


def leaves_of_nodes(nodes: list[Node], path: str = "") -> list[str]:
    """`path/tag=text` of each element without children, in order: what was written, less its layout."""
    lines: list[str] = []
    for tag, inside in nodes:
        if isinstance(inside, str):
            lines.append(f"{path}{tag.removesuffix(KEEP_SPACE)}={inside}")
        else:
            lines.extend(leaves_of_nodes(inside, f"{path}{tag}/"))
    return lines


def leaves_of_element(element: "Element", path: str = "", skip: str = "", depth: int = 0) -> list[str]:
    """The same of a parsed element's children, so that a file that was only laid out anew reads as unchanged.

    skip: a tag to leave out at this level.
    """
    lines: list[str] = [f"{path}@{name}={text}" for name, text in element.attrib.items()]
    for child in element:
        if child.tag == skip:
            continue
        if len(child) or child.attrib.keys() - {SPACE}:
            if depth <= DEEPEST:  # deeper ones are refused by value_of
                lines.extend(leaves_of_element(child, f"{path}{child.tag}/", "", depth + 1))
        else:
            lines.append(f"{path}{child.tag}={child.text or ''}")
    return lines


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES[found[0]]


def shown_path(root: Path, relative: str) -> str:
    """A file as messages name it."""
    return os.path.join(root, relative) if relative else os.fspath(root)
