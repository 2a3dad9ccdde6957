"""`workflow:` and `quality:` of a config, as one workflow: its stages, its people, the numbers it sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ALL_SETTINGS, Policy
from hiveguard_pipeline.rules.stage_checks import quorum_fault
from hiveguard_pipeline.rules.stages import Stages
from hiveguard_pipeline.workflow.documented import policy_settings
from hiveguard_pipeline.workflow.parse import StageError, parse_stages
from hiveguard_pipeline.workflow.people import LISTED, check_solver
from hiveguard_pipeline.workflow.shorthand import stages_of_quality

WORKFLOW_KEYS = ("stages", "people")


@dataclass(frozen=True, slots=True)
class ConfiguredWorkflow:
    """What a config says. settings: of the policy, beside those of the stages. people: group -> names.

    key: what the list of stages is called in the config.
    """

    stages: Stages
    key: str
    settings: dict[str, str] = field(default_factory=dict)
    people: dict[str, tuple[str, ...]] = field(default_factory=dict)


def configured_workflow(
    values: Mapping[str, Any], classes: Sequence[str] | None = None
) -> ConfiguredWorkflow | None:
    """The workflow of a config's values; None if it names none. Raises StageError, which names the key.

    Beside `quality`, which is short for stages, `workflow` may name the people.
    """
    if "quality" in values:
        given = values["quality"]
        if not isinstance(given, Mapping) or not given:
            raise StageError("quality", "quality holds keys: min_annotators_per_sample, review_gate, ...")
        stages, settings = stages_of_quality(given)
        found = ConfiguredWorkflow(
            stages, "quality", settings, _people_beside(values.get("workflow"), stages)
        )
    elif "workflow" in values:
        found = _workflow(values["workflow"], classes)
    else:
        return None
    _check_numbers(values, found)
    return found


def _workflow(given: Any, classes: Sequence[str] | None) -> ConfiguredWorkflow:
    if not isinstance(given, Mapping):
        return ConfiguredWorkflow(parse_stages(given, classes, key="workflow"), "workflow")
    for key in given:
        if key not in WORKFLOW_KEYS:
            raise StageError(
                f"workflow.{key}", f"{key} is no key of workflow; the keys are {', '.join(WORKFLOW_KEYS)}"
            )
    people = _people(given.get("people", {}))
    stages = parse_stages(given.get("stages"), classes, key="workflow.stages")
    fault = quorum_fault(stages, {group: len(names) for group, names in people.items()})
    if fault is not None:
        raise StageError(f"workflow.stages.{fault.stage}.{fault.key}", fault.why)
    return ConfiguredWorkflow(stages, "workflow.stages", people=people)


def _people_beside(given: Any, stages: Stages) -> dict[str, tuple[str, ...]]:
    """The people of a `workflow` whose stages `quality` stands for."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or set(given) != {"people"}:
        raise StageError(
            "quality",
            "quality is short for the stages of a workflow, and this config has stages (workflow): leave one"
            " of them; beside quality a workflow holds people alone",
        )
    people = _people(given["people"])
    fault = quorum_fault(stages, {group: len(names) for group, names in people.items()})
    if fault is not None:
        raise StageError("workflow.people", fault.why)
    return people


def _people(given: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, Mapping):
        raise StageError("workflow.people", f"people holds lists of names: {', '.join(LISTED)}")
    found = {}
    for group, names in given.items():
        place = f"workflow.people.{group}"
        if group not in LISTED:
            raise StageError(place, f"{group} is no group of people; there are {' and '.join(LISTED)}")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise StageError(place, f"{group} is a list of names")
        for name in names:
            try:
                check_solver(name)
            except BadInputError as error:
                raise StageError(place, str(error)) from None
            if names.count(name) > 1:
                raise StageError(place, f"{group} names {name} twice")
        found[str(group)] = tuple(names)
    return found


def _check_numbers(values: Mapping[str, Any], found: ConfiguredWorkflow) -> None:
    """A number that the config gives as a setting too must be the same one."""
    said = policy_settings(found.stages) | found.settings
    for name in ALL_SETTINGS:
        if name not in values or name not in said:
            continue
        try:
            one, other = (getattr(_alone(name, value), name.lower()) for value in (values[name], said[name]))
        except BadInputError as error:
            raise StageError(name, str(error)) from None
        if one != other:
            raise StageError(
                name,
                f"{name} is {values[name]} here, and {said[name]} by the stages of the crowd: leave one",
            )


def _alone(name: str, value: Any) -> Policy:
    """A policy with one setting, whatever the others are."""
    extremes = {"REVALIDATION_CONFIDENCE_THRESHOLD": "0", "REVALIDATION_EXIT_CONFIDENCE": "1"}
    extremes |= {"ADAPTIVE_MIN_VOTES": "1", "ADAPTIVE_MAX_VOTES": "1000000"}
    return Policy().replaced(extremes | {name: value})
