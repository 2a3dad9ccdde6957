"""`quality:` of a config: four settings that stand for a workflow, and the stages that they stand for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import millionths
from hiveguard_pipeline.rules.stages import DONE, GATED, Gate, Stage, Stages
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE
from hiveguard_pipeline.workflow.parse import MOST_ANSWERS, StageError

KEYS = ("min_annotators_per_sample", "agreement_threshold", "review_gate", "auto_flag_low_confidence")
REVIEW_GATE = "review_gate"


def stages_of_quality(given: Mapping[str, Any]) -> tuple[Stages, dict[str, str]]:
    """The stages, and settings of the policy beside those that the stages say; raises StageError.

    min_annotators_per_sample: answers before a first label. review_gate: an expert looks at every graduated
    label, unless the dataset's mean kappa is at or above agreement_threshold. auto_flag_low_confidence false:
    no label is under the floor, which is 0.
    """
    for key in given:
        if key not in KEYS:
            raise StageError(f"quality.{key}", f"{key} is no key of quality; the keys are {', '.join(KEYS)}")
    stages = list(LIFE_CYCLE)
    if "min_annotators_per_sample" in given:
        stages[0] = replace(stages[0], answers=_count(given["min_annotators_per_sample"]))
    gated = _yes("review_gate", given)
    if gated:
        below = _threshold(given) if "agreement_threshold" in given else None
        gate = Gate(states=GATED[1:], kappa_below=below)
        stages.append(Stage(REVIEW_GATE, "experts", answers=1, gate=gate, on_pass=DONE))
    elif "agreement_threshold" in given:
        _threshold(given)
        raise StageError(
            "quality.agreement_threshold",
            "agreement_threshold says when the review gate is skipped, and there is none: set review_gate:"
            " true, or leave it out",
        )
    settings = {}
    if not _yes("auto_flag_low_confidence", given, default=True):
        settings["REVALIDATION_CONFIDENCE_THRESHOLD"] = "0"
    return Stages(tuple(stages)), settings


def _count(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or not 1 <= int(text) <= MOST_ANSWERS:
        raise StageError(
            "quality.min_annotators_per_sample",
            f"min_annotators_per_sample is a whole number from 1 to {MOST_ANSWERS:,}, not {value}",
        )
    return int(text)


def _threshold(given: Mapping[str, Any]) -> int:
    value = given["agreement_threshold"]
    try:
        least = millionths("agreement_threshold", value)
    except BadInputError as error:
        raise StageError("quality.agreement_threshold", str(error)) from None
    if least < 0:
        raise StageError(
            "quality.agreement_threshold", f"agreement_threshold must lie between 0 and 1, not {value}"
        )
    return least


def _yes(key: str, given: Mapping[str, Any], *, default: bool = False) -> bool:
    words = {"true": True, "false": False}
    value = str(given.get(key, default)).lower()
    if value not in words:
        raise StageError(f"quality.{key}", f"{key} is true or false, not {given[key]}")
    return words[value]
