"""YAML as texts, lists and dictionaries, and nothing else: built from the parser's events, never of objects.

Every scalar stays the text it is, so that a class `no`, `on` or `1` is not a truth or a number. Tags, anchors
and aliases, by which a file can make objects or grow without bound, are refused.
"""

from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError

LARGEST_FILE = 16 << 20
DEEPEST = 20
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


def read_yaml(path: Path) -> Any:
    """The one document of a file. A plain `null`, `~` or nothing is None.

    Raises BadInputError, with file and line, for what is no YAML or more than data.
    """
    import yaml

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST_FILE:
        raise BadInputError(
            f"{path}: more than {LARGEST_FILE >> 20} MB; this is no description of a data set."
        )
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    builder = _Builder(path)
    try:
        for event in yaml.parse(data.decode("utf-8-sig"), Loader=loader):
            builder.take(event)
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except yaml.YAMLError as error:
        raise BadInputError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise BadInputError(f"{path}: nested too deep") from None
    return builder.document


def quoted(text: str) -> str:
    """A text as a YAML scalar in double quotes, which every YAML reader takes for this text."""
    import yaml

    scalar: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return scalar.rstrip("\n")


class _Builder:
    """Puts events together; a stack in place of recursion."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document: Any = None
        self.documents = 0
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[Any] = []

    def take(self, event: Any) -> None:
        """One event of the parser."""
        import yaml

        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._refused(event, "a second document; one is wanted")
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._refused(event, "an anchor or alias; write the value out")
        elif getattr(event, "tag", None) not in (None, "!"):
            raise self._refused(event, f"the tag {event.tag[:60]}; only plain values are read. Remove it")
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and not event.style
            self._put(event, None if plain and event.value in _NOTHING else event.value)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self._open) == DEEPEST:
                raise self._refused(event, f"more than {DEEPEST} levels")
            inside: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._put(event, inside)
            self._open.append(inside)
            self._keys.append(None)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()
            self._keys.pop()

    def _put(self, event: Any, value: Any) -> None:
        if not self._open:
            self.document = value
            return
        inside = self._open[-1]
        if isinstance(inside, list):
            inside.append(value)
        elif self._keys[-1] is None:
            key = "null" if value is None else value
            if not isinstance(key, str):
                raise self._refused(event, "a key that is not text")
            if key in inside:
                raise self._refused(event, f"the key '{key[:60]}' a second time")
            self._keys[-1] = key
        else:
            inside[self._keys[-1]] = value
            self._keys[-1] = None

    def _refused(self, event: Any, what: str) -> BadInputError:
        return BadInputError(f"{self.path}, line {event.start_mark.line + 1}: {what}.")
