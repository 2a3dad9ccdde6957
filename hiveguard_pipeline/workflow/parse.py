"""Stages as a config writes them: mappings of text in, stages out; what cannot be names its place."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ONE, millionths
from hiveguard_pipeline.rules.stage_checks import first_fault
from hiveguard_pipeline.rules.stages import DONE, GATED, GROUPS, MEASURES, MODEL, SHARE, Gate, Stage, Stages

STAGE_KEYS = (
    "name",
    "who",
    "answers",
    "agreement",
    "gate",
    "on_pass",
    "on_fail",
    "on_timeout",
    "timeout",
    "least_skill",
)
GATE_KEYS = ("state", "confidence", "probability", "class", "disagreement", "random", "kappa")
MOST_ANSWERS = 1_000
LONGEST_TIMEOUT_HOURS = 24 * 366

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class StageError(BadInputError):
    """A stage that cannot be, and the key that says so: `stages.1.gate.random`."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


def parse_stages(given: Any, classes: Sequence[str] | None = None, *, key: str = "stages") -> Stages:
    """Stages from a list of mappings; raises StageError.

    classes: those of the dataset, None where any answer is taken. key: what the list is called.
    """
    if not isinstance(given, list) or not given:
        raise StageError(key, "stages is a list of stages, each with name, who, answers, ...")
    entries = [_stage(f"{key}.{number}", entry, given, number, classes) for number, entry in enumerate(given)]
    stages = Stages(tuple(entries))
    fault = first_fault(stages)
    if fault is not None:
        place = f"{key}.{fault.stage}"
        raise StageError(place if fault.key is None else f"{place}.{fault.key}", fault.why)
    return stages


def _stage(place: str, entry: Any, given: list[Any], number: int, classes: Sequence[str] | None) -> Stage:
    _check_keys(place, entry, STAGE_KEYS, "a stage")
    for needed in ("name", "who"):
        if needed not in entry:
            raise StageError(place, f"a stage needs {needed}")
    name, who = str(entry["name"]), str(entry["who"])
    if not _NAME.fullmatch(name):
        raise StageError(f"{place}.name", f"{name!r} is no name: lower-case letters, digits, - and _")
    if who not in GROUPS:
        raise StageError(f"{place}.who", f"who is {', '.join(GROUPS)}, not {who!r}")
    measure, least = _agreement(place, entry)
    following = (
        given[number + 1].get("name") if number + 1 < len(given) and _is_map(given[number + 1]) else None
    )
    answers = _whole(f"{place}.answers", entry["answers"]) if "answers" in entry else None
    if answers is None and who not in (MODEL, "crowd"):
        answers = 1
    return Stage(
        name=name,
        who=who,
        answers=answers,
        measure=measure,
        least=least,
        gate=_gate(f"{place}.gate", entry["gate"], classes) if "gate" in entry else None,
        on_pass=str(entry.get("on_pass", following or DONE)),
        on_fail=_target(entry, "on_fail"),
        on_timeout=_target(entry, "on_timeout"),
        timeout=_hours(f"{place}.timeout", entry["timeout"]) if "timeout" in entry else None,
        least_skill=_share(f"{place}.least_skill", entry["least_skill"]) if "least_skill" in entry else None,
    )


def _agreement(place: str, entry: Mapping[str, Any]) -> tuple[str, int | None]:
    if "agreement" not in entry:
        return SHARE, None
    given = entry["agreement"]
    place = f"{place}.agreement"
    if not _is_map(given) or len(given) != 1 or next(iter(given)) not in MEASURES:
        raise StageError(place, "agreement is one of {share: ...}, {kappa: ...} and {probability: ...}")
    measure, value = next(iter(given.items()))
    least = _share(f"{place}.{measure}", value)
    if measure == SHARE and least < ONE // 2:
        raise StageError(f"{place}.share", f"a share under a half is no agreement: {value}")
    return str(measure), least


def _gate(place: str, given: Any, classes: Sequence[str] | None) -> Gate:
    _check_keys(place, given, GATE_KEYS, "a gate")
    if not given:
        raise StageError(place, f"a gate needs a condition: {', '.join(GATE_KEYS)}")
    found: dict[str, Any] = {}
    if "state" in given:
        states = _names(f"{place}.state", given["state"])
        for state in states:
            if state not in GATED:
                raise StageError(f"{place}.state", f"a gate looks at {' and '.join(GATED)}, not at {state!r}")
        found["states"] = tuple(state for state in GATED if state in states)
    for name in ("confidence", "probability"):
        found |= _ends(place, given, name, ("above", "below"))
    if "class" in given:
        names = _names(f"{place}.class", given["class"])
        for name in names:
            if classes is not None and name not in classes:
                raise StageError(f"{place}.class", f"{name!r} is no class; there are {', '.join(classes)}")
        found["classes"] = names
    for name in ("disagreement", "random"):
        if name in given:
            share = _share(f"{place}.{name}", given[name])
            if not share:
                raise StageError(f"{place}.{name}", f"{name} lies above 0")
            found[name] = share
    found |= _ends(place, given, "kappa", ("below",))
    return Gate(**found)


def _ends(place: str, given: Mapping[str, Any], name: str, ends: tuple[str, ...]) -> dict[str, int]:
    if name not in given:
        return {}
    _check_keys(f"{place}.{name}", given[name], ends, name)
    found = {f"{name}_{end}": _share(f"{place}.{name}.{end}", value) for end, value in given[name].items()}
    if not found:
        raise StageError(f"{place}.{name}", f"{name} is {{{', '.join(f'{end}: ...' for end in ends)}}}")
    if len(found) == 2 and found[f"{name}_above"] >= found[f"{name}_below"]:
        raise StageError(f"{place}.{name}", "nothing lies above the one and below the other")
    return found


def _check_keys(place: str, given: Any, known: Sequence[str], what: str) -> None:
    if not _is_map(given):
        raise StageError(place, f"{what} holds keys: {', '.join(known)}")
    for name in given:
        if name not in known:
            raise StageError(
                f"{place}.{name}", f"{name} is no key of {what}; the keys are {', '.join(known)}"
            )


def _is_map(given: Any) -> bool:
    return isinstance(given, Mapping)


def _names(place: str, given: Any) -> tuple[str, ...]:
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) and name for name in names) or len({*names}) < len(names):
        raise StageError(place, "a name, or a list of different names, is wanted")
    return tuple(names)


def _target(entry: Mapping[str, Any], key: str) -> str | None:
    return str(entry[key]) if key in entry else None


def _share(place: str, value: Any) -> int:
    name = place.rpartition(".")[2]
    try:
        share = millionths(name, value)
    except BadInputError as error:
        raise StageError(place, str(error)) from None
    if share < 0:
        raise StageError(place, f"{name} must lie between 0 and 1, not {value}")
    return share


def _whole(place: str, value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or not 1 <= int(text) <= MOST_ANSWERS:
        raise StageError(place, f"answers is a whole number from 1 to {MOST_ANSWERS:,}, not {value}")
    return int(text)


def _hours(place: str, value: Any) -> int:
    """Hours in millionths."""
    try:
        hours = Decimal(str(value))
    except InvalidOperation:
        hours = Decimal("NaN")
    if not hours.is_finite() or not 0 < hours <= LONGEST_TIMEOUT_HOURS or hours * ONE != int(hours * ONE):
        raise StageError(
            place, f"timeout is a number of hours above 0 and up to {LONGEST_TIMEOUT_HOURS:,}, not {value}"
        )
    return int(hours * ONE)
