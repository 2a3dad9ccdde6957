"""A YAML file as keys and values, with the line of every key.

Every value is read as text, so that classes named `yes`, `no` or `01` stay what they are.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError

PROJECT = "project"
"""What the dataset itself is may stand below this key, or without it at the top."""

Refuse = Callable[[str, str], BadInputError]
"""(key, why) -> an error that names file and line."""


def refusal(path: Path, lines: dict[str, int], key: str, why: str) -> BadInputError:
    """What is wrong with a key, with its line; that of what it stands in, where it is not there."""
    while key not in lines and "." in key:
        key = key.rpartition(".")[0]
    return BadInputError(f"{path}, line {lines.get(key, 1)}: {why}")


def read_config(path: Path) -> tuple[dict[str, Any], Refuse]:
    """The values of a config, and what makes an error of a key and a reason. Raises BadInputError.

    What stands below `project` stands at the top of the values.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes nothing but text
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        events: Any = yaml.parse(text, Loader=yaml.BaseLoader)
        tagged = next((event for event in events if getattr(event, "tag", None) is not None), None)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise BadInputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if tagged is not None:
        raise BadInputError(
            f"{path}, line {tagged.start_mark.line + 1}: a YAML tag ({tagged.tag}); every value is text, so"
            " leave the tag out"
        )
    if not isinstance(values, dict) or node is None:
        raise BadInputError(f"{path} holds no keys")
    _refuse_doubled(path, node)
    lines = dict(_lines(node))
    _lift_project(path, values, lines)
    return values, partial(refusal, path, lines)


def _lines(node: Any, above: str = "") -> Iterator[tuple[str, int]]:
    """The line of every key, `export.split`, and of every entry of a list, `workflow.stages.0`."""
    if not isinstance(node.value, list):
        return
    for number, entry in enumerate(node.value):
        key, below = entry if isinstance(entry, tuple) else (entry, entry)
        place = f"{above}{key.value if isinstance(entry, tuple) else number}"
        yield place, key.start_mark.line + 1
        yield from _lines(below, f"{place}.")


def _refuse_doubled(path: Path, node: Any) -> None:
    """Raise BadInputError for a key that a mapping of the config, or one in it, has twice."""
    waiting, seen = [node], set[int]()
    while waiting:
        node = waiting.pop()
        if not isinstance(node.value, list) or id(node) in seen:
            continue
        seen.add(id(node))
        first: dict[str, int] = {}
        for entry in node.value:
            if not isinstance(entry, tuple):
                waiting.append(entry)
                continue
            key, below = entry
            waiting.append(below)
            line = key.start_mark.line + 1
            if key.value in first:
                raise BadInputError(
                    f"{path}, line {line}: the key {key.value} is there already, in line {first[key.value]};"
                    " leave one of the two"
                )
            first[key.value] = line


def _lift_project(path: Path, values: dict[str, Any], lines: dict[str, int]) -> None:
    """Bring the keys below `project` to the top."""
    if PROJECT not in values:
        return
    project = values.pop(PROJECT)
    if not isinstance(project, dict):
        raise refusal(path, lines, PROJECT, "project holds keys: name, task_type, modality, classes, ...")
    for key, value in project.items():
        below = f"{PROJECT}.{key}"
        if key in values:
            raise refusal(path, lines, below, f"{key} stands at the top too; leave one of the two")
        values[key] = value
        lines[key] = lines[below]
