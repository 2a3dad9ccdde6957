"""`hiveguard forecast`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, required_dataset, say
from hiveguard_pipeline.store.datasets import get_dataset

_COLUMNS = [
    "share",
    "items",
    "votes",
    "votes_low",
    "votes_high",
    "days",
    "days_low",
    "days_high",
    "date",
    "date_low",
    "date_high",
    "probability",
    "reachable",
    "in_review",
]
_IN_A_TABLE = [name for name in _COLUMNS if name not in ("reachable", "in_review")]
_CURVE = ["votes", "share", "share_low", "share_high"]


@click.command()
@required_dataset
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
@click.option("--curve", "as_curve", is_flag=True, help="The graduated share after more and more votes.")
@fmt_option
def forecast(dataset_name: str, seed: int, as_curve: bool, fmt: str) -> None:
    """Votes and days until 50, 90 and 99% of a dataset's items have graduated, with 90% intervals.

    A number that is missing is not reached without reviews (votes), or has no rate to be told by (days).
    Under GRADUATION=adaptive there is no forecast.
    """
    from hiveguard_pipeline.foresight.forecast import curve
    from hiveguard_pipeline.foresight.forecast import forecast as look

    with open_store().read() as connection:
        found = look(connection, get_dataset(connection, dataset_name), datetime.now(UTC), seed)
    said = ", ".join(f"{count:,} {state}" for state, count in found.states.items())
    say(f"{dataset_name}: {found.items:,} items that can graduate: {said}")
    if found.rate is None:
        say("no vote in the last 28 days: there is no rate to tell days by")
    else:
        rate = found.rate
        say(f"{rate.per_day:,.1f} votes a day: {rate.votes:,} in the last {rate.days:.1f} days")
    if found.outlook is None or found.reachable is None or found.in_review is None:
        say("no votes yet: there is nothing to learn from how this crowd answers")
        emit([], _CURVE if as_curve else _COLUMNS, fmt)
        return
    say(
        f"without reviews {_percent(found.reachable)} of the items graduate in the end;"
        f" {_percent(found.in_review)} end in review"
    )
    if as_curve:
        rows: list[dict[str, Any]] = [
            {"votes": votes, "share": share.median, "share_low": share.low, "share_high": share.high}
            for votes, share in curve(found.outlook)
        ]
        emit(rows, _CURVE, fmt)
        return
    ends = {"reachable": found.reachable.median, "in_review": found.in_review.median}
    rows = [asdict(milestone) | ends for milestone in found.milestones]
    for milestone in found.milestones:
        if milestone.probability < 1:
            say(
                f"{milestone.share:.0%} ({milestone.items:,} items) graduate without reviews in"
                f" {milestone.probability:.0%} of the draws"
            )
    if fmt == "table":
        rows = [row | {key: _day(row[key]) for key in ("date", "date_low", "date_high")} for row in rows]
    emit(rows, _IN_A_TABLE if fmt == "table" else _COLUMNS, fmt)


def _percent(share: Any) -> str:
    return f"{share.median:.1%} ({share.low:.1%} to {share.high:.1%})"


def _day(time: str | None) -> str | None:
    return time and time[:10]
