"""The documented life cycle as stages, and how the numbers of crowd stages and of the policy are one."""

from dataclasses import replace

from hiveguard_pipeline.rules.policy import ADAPTIVE, DOCUMENTED, Policy, decimal_text
from hiveguard_pipeline.rules.stages import DONE, PROBABILITY, SHARE, Stage, Stages

FIRST_PASS, REVALIDATION, REVIEW = "first_pass", "revalidation", "review"

LIFE_CYCLE = Stages(
    (
        Stage(FIRST_PASS, "crowd", on_pass=REVALIDATION, on_fail=REVIEW),
        Stage(REVALIDATION, "crowd", on_pass=DONE, on_fail=REVIEW),
        Stage(REVIEW, "experts", answers=1, on_pass=REVALIDATION),
    )
)
"""What holds without a workflow: the numbers of its crowd stages are the policy's."""


def policy_settings(stages: Stages) -> dict[str, str]:
    """The settings of a policy that the stages of the crowd say; those that they leave open are not in it.

    One stage of the crowd decides at its first label: it graduates, or fails.
    """
    crowd, found = stages.crowd, dict[str, str]()
    if not crowd:
        return found
    first, last = crowd[0], crowd[-1]
    if first.answers is not None:
        found["CONSENSUS_THRESHOLD"] = str(first.answers)
    if last.measure == PROBABILITY and last.least is not None:
        found |= {"GRADUATION": ADAPTIVE, "ADAPTIVE_TARGET_PROBABILITY": decimal_text(last.least)}
        if last.answers is not None:
            found["ADAPTIVE_MIN_VOTES"] = str(last.answers)
        return found
    if last.answers is not None:
        found["REVALIDATION_MIN_TOTAL_VOTES"] = str(last.answers)
    if last.measure == SHARE and last.least is not None:
        found |= {"GRADUATION": DOCUMENTED, "REVALIDATION_EXIT_CONFIDENCE": decimal_text(last.least)}
        if len(crowd) == 1 and last.on_fail is not None:
            # The floor is below the exit: what is under the one is under the other.
            found["REVALIDATION_CONFIDENCE_THRESHOLD"] = decimal_text(last.least - 1)
    return found


def with_numbers(stages: Stages, policy: Policy) -> Stages:
    """The stages with the numbers of a policy in those of the crowd."""
    crowd = [stage.name for stage in stages.crowd]

    def numbered(stage: Stage) -> Stage:
        if not stage.is_crowd:
            return stage
        if stage.name == crowd[0] and len(crowd) > 1:
            return replace(stage, answers=policy.consensus_threshold, measure=SHARE, least=500_000)
        if policy.is_adaptive:
            least = policy.adaptive_target_probability
            return replace(stage, answers=policy.adaptive_min_votes, measure=PROBABILITY, least=least)
        return replace(
            stage,
            answers=policy.revalidation_min_total_votes,
            measure=SHARE,
            least=policy.revalidation_exit_confidence,
        )

    return Stages(tuple(numbered(stage) for stage in stages))
