"""What a change makes of a list of classes, and which name it maps to which; or why it cannot be.

No database here. A name that was mapped away is never a class again: the ledger knows it as what it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.class_names import check_known_class, check_new_class


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a dataset as a change finds them.

    names: None where any answer is taken. mapped: former names, each with what it means now. least: how many
    classes must be left.
    """

    dataset: str
    names: tuple[str, ...] | None
    mapped: dict[str, str]
    least: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The classes after a change, in order; the names that mean others from then on; the change in a word."""

    change: str
    names: tuple[str, ...] | None
    class_map: dict[str, str]


Change = Callable[[Classes], Plan]


def addition(names: Sequence[str]) -> Change:
    """New classes, after those that are there."""

    def plan(found: Classes) -> Plan:
        if found.names is None:
            raise BadInputError(
                f"{found.dataset} takes any answer: it has no list of classes that more could be added to"
            )
        if not names:
            raise BadInputError("a class to add is wanted")
        if len(set(names)) < len(names):
            raise BadInputError("a class is named twice")
        for name in names:
            _refuse_former(found, name)
            if name in found.names:
                raise BadInputError(f"{name!r} is a class of {found.dataset} already")
            check_new_class(name)
        return Plan("added", (*found.names, *names), {})

    return plan


def renaming(old: str, new: str) -> Change:
    """Another name for a class, in its place."""

    def plan(found: Classes) -> Plan:
        if old == new:
            raise BadInputError(f"{old!r} is called that already: nothing would change")
        _require_class(found, old)
        _refuse_former(found, new)
        check_new_class(new)
        if found.names is not None and new in found.names:
            raise BadInputError(
                f"{new!r} is a class of {found.dataset} already; `hiveguard classes merge {old} {new} --into"
                f" {new}` makes one of the two"
            )
        return Plan("renamed", _replaced(found, {old: new}), {old: new})

    return plan


def merging(names: Sequence[str], into: str) -> Change:
    """One class of several: `into` may be one of them, another class, or a new name."""

    def plan(found: Classes) -> Plan:
        _refuse_former(found, into)
        if len(set(names)) < len(names):
            raise BadInputError("a class is named twice")
        for name in names:
            _require_class(found, name)
        new = found.names is not None and into not in found.names
        if len({*names, into}) < 2 or (new and len(names) < 2):
            raise BadInputError(
                "a merge takes two classes at least"
                + (f"; `hiveguard classes rename {names[0]} {into}` changes a name" if names and new else "")
            )
        if found.names is None or into not in found.names:
            check_new_class(into)
        class_map = {name: into for name in names if name != into}
        return _with_enough(found, Plan("merged", _replaced(found, class_map), class_map))

    return plan


def removal(name: str, into: str) -> Change:
    """A class less; its labels and answers mean another class from then on."""

    def plan(found: Classes) -> Plan:
        _require_class(found, name)
        if name == into:
            raise BadInputError(f"{name!r} cannot be removed into itself")
        _refuse_former(found, into)
        check_known_class(into)
        if found.names is not None and into not in found.names:
            raise BadInputError(
                f"{into!r} is no class of {found.dataset}; its labels go to one that is there:"
                f" {_listed(found.names)}"
            )
        return _with_enough(found, Plan("removed", _replaced(found, {name: into}), {name: into}))

    return plan


def _replaced(found: Classes, class_map: dict[str, str]) -> tuple[str, ...] | None:
    """The classes with names replaced, each once: a new name stands where the first that it replaces did."""
    if found.names is None:
        return None
    kept = {name for name in found.names if name not in class_map}
    named = (name if name in kept or class_map[name] not in kept else None for name in found.names)
    return tuple(dict.fromkeys(class_map.get(name, name) for name in named if name is not None))


def _with_enough(found: Classes, plan: Plan) -> Plan:
    if plan.names is not None and len(plan.names) < found.least:
        raise BadInputError(
            f"{found.dataset} would be left with the classes {_listed(plan.names)}: {found.least} at least"
            " are wanted"
        )
    return plan


def _require_class(found: Classes, name: str) -> None:
    _refuse_former(found, name)
    check_known_class(name)
    if found.names is not None and name not in found.names:
        raise BadInputError(
            f"{name!r} is no class of {found.dataset}; the classes are {_listed(found.names)}"
        )


def _refuse_former(found: Classes, name: str) -> None:
    if name in found.mapped:
        raise BadInputError(
            f"{name!r} was a class of {found.dataset} and means {found.mapped[name]!r} now: answers and"
            " the ledger know it as that, so it can be no class again; take another name"
        )


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - 20
    return ", ".join(names[:20]) + (f" and {more} more" if more > 0 else "")
