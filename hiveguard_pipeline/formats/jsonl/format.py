"""JSONL: the model itself, one item a line under a header line, without loss.

Classes stand by name, or by their place in the header where two have one name. Lines of other tools are
read too (jsonl/foreign.py): a file without our header is theirs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature, Options, Read, Reading, Written
from hiveguard_pipeline.formats.json_text import json_line, json_value
from hiveguard_pipeline.formats.jsonl.foreign import labels_of, translated
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Category, Header, Item
from hiveguard_pipeline.formats.names import relative_to_root
from hiveguard_pipeline.formats.serialised import (
    header_from_json,
    header_to_json,
    is_header,
    item_from_json,
    item_to_json,
    shown,
)
from hiveguard_pipeline.formats.text_lines import Names, lines_of, open_file


class JsonLines:
    """One item a line."""

    name = "jsonl"
    holds = frozenset(Feature)
    has_side_car = False

    def read(self, path: Path, options: Options) -> Reading:
        """Open a file: ours by its header; another tool's by a pass over it for the names of its classes."""
        root = options.rebase_paths
        rebased = root is not None and _has_absolute_names(path)
        first = next(_values(path), None)
        if first is not None and is_header(first[1]):
            header = header_from_json(first[1], f"{path}, line {first[0]}")
            return Reading(header, lambda: _items(path, header, root, skip=1), rebased=rebased)
        found: set[str] = set()
        for number, value in _values(path):
            labels_of(value, f"{path}, line {number}", found)
        header = Header([Category(name) for name in sorted(found)])
        return Reading(header, lambda: _items(path, header, root, skip=0), rebased=rebased)

    def write(
        self,
        header: Header,
        items: Iterable[Item],
        target: Path,
        options: Options,  # noqa: ARG002
        losses: Losses,  # noqa: ARG002
    ) -> Iterator[Written]:
        """Write the header and then each item as it comes."""
        names = [category.name for category in header.categories]
        by_name = len(set(names)) == len(names)
        with target.open("wb") as stream:
            stream.write(json_line(header_to_json(header)))
            for item in items:
                written = item_to_json(item)
                if by_name:
                    for annotation in written.get("annotations", ()):
                        annotation["category"] = names[annotation["category"]]
                    if item.labels:
                        written["labels"] = [names[place] for place in item.labels]
                try:
                    line = json_line(written)
                except (ValueError, TypeError, RecursionError) as error:
                    raise BadInputError(f"item {shown(item.name)} cannot be written: {error}.") from None
                stream.write(line)
                yield Written(item, rows=[""] * len(item.annotations))


def _values(path: Path) -> Iterator[tuple[int, Any]]:
    """Each line that is not blank, as a JSON value, with its number."""
    with open_file(path) as stream:
        for number, line in lines_of(path, stream):
            if line.strip():
                yield number, json_value(line, f"{path}, line {number}")


def _has_absolute_names(path: Path) -> bool:
    """Whether an image of a file, ours or another tool's, is named by an absolute path."""
    for number, value in _values(path):
        if not is_header(value):
            line = translated(value, number, f"{path}, line {number}")
            if str(line.get("name", "")).startswith("/") and line.get("text") is None:
                return True
    return False


def _items(path: Path, header: Header, root: str | None, skip: int) -> Iterator[Read]:
    places = {category.name: place for place, category in enumerate(header.categories)}
    ours = skip > 0
    names = Names()
    for row, (number, value) in enumerate(_values(path)):
        if row < skip:
            continue
        where = f"{path}, line {number}"
        if is_header(value):
            raise BadInputError(f"{where}: a second header; convert files one by one.")
        value = _with_places(value if ours else translated(value, number, where), places, where)
        item = item_from_json(value, where, len(header.categories))
        if item.text is None:
            item.name = relative_to_root(item.name, root, where)[0]
        else:
            _check_spans(item, where)
        names.add(item.name)
        yield Read(item, rows=[""] * len(item.annotations))
    names.refuse_repeated(str(path))


def _with_places(value: Any, places: dict[str, int], where: str) -> Any:
    """The JSON of an item, with its names of classes as positions; what is no item is left to be refused."""
    if not isinstance(value, dict):
        return value

    def place(name: Any) -> Any:
        if not isinstance(name, str):
            return name
        if name not in places:
            raise BadInputError(f"{where}: the class {shown(name)} is not among those of the header.")
        return places[name]

    value = dict(value)
    if isinstance(value.get("labels"), list):
        value["labels"] = [place(name) for name in value["labels"]]
    if isinstance(value.get("annotations"), list):
        value["annotations"] = [
            {**one, "category": place(one.get("category"))} if isinstance(one, dict) else one
            for one in value["annotations"]
        ]
    return value


def _check_spans(item: Item, where: str) -> None:
    assert item.text is not None
    for place, annotation in enumerate(item.annotations):
        if annotation.span is not None and annotation.span[1] > len(item.text):
            raise BadInputError(
                f"{where}: annotations[{place}]: span {list(annotation.span)} goes beyond the"
                f" {len(item.text)} characters of the text."
            )


FORMAT = JsonLines()
