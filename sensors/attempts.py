"""Whether to ask for a run of a dataset now: a pure decision over the runs there were."""

from dataclasses import dataclass

MOST_ATTEMPTS = 3
BACK_OFF_SECONDS = (0.0, 30.0, 120.0)
"""Wait after the last failure, by the number of failures since the last success."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run of a dataset that has ended: whether well, and when (seconds since 1970)."""

    succeeded: bool
    ended: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ask for a run (attempt 1, 2, 3), or do not, and why."""

    attempt: int | None
    reason: str


def decide(past: list[PastRun], live: int, now: float) -> Verdict:
    """`past` newest first. No run while one is live; after failures, with back-off, three times in all."""
    if live:
        return Verdict(None, "a run is under way")
    failures = 0
    for run in past:
        if run.succeeded:
            break
        failures += 1
    if failures >= MOST_ATTEMPTS:
        return Verdict(
            None,
            f"{failures} runs in a row failed: left to the nightly run (or materialise by hand, once mended)",
        )
    wait = BACK_OFF_SECONDS[failures] - (now - past[0].ended) if failures else 0.0
    if wait > 0:
        return Verdict(None, f"{failures} failed, tried again in {wait:.0f} s")
    return Verdict(failures + 1, "due")


def has_died(last_event: float, now: float, silence: float) -> bool:
    """Whether a run that says it is at work has been silent for too long (`silence` seconds)."""
    return now - last_event > silence
