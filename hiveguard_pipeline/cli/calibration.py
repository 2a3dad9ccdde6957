"""How `hiveguard quality calibrate` prints what it found."""

from typing import Any

import click

from hiveguard_pipeline.cli.shared import as_json, emit, say
from hiveguard_pipeline.quality.calibration import BINS, Calibrated

_COLUMNS = ["from", "to", "items", "said", "right"]


def print_reliability(dataset_name: str, done: Calibrated, fmt: str) -> None:
    """The reliability diagram as rows; in json one object with the figures of all of it."""
    found = done.found
    judged = found.reliability
    bins: list[dict[str, Any]] = [
        {
            "from": number / BINS,
            "to": (number + 1) / BINS,
            "items": int(judged.items[number]),
            "said": round(float(judged.said[number]), 6),
            "right": round(float(judged.right[number]), 6),
        }
        for number in range(BINS)
        if judged.items[number]
    ]
    if found.thin:
        say(found.thin_text)
    if fmt == "json":
        whole = {
            "dataset": dataset_name,
            "calibration_id": done.calibration_id,
            "votes": done.votes,
            "gold_items": found.gold,
            "rests_on_prior": found.thin,
            "expected_calibration_error": judged.error,
            "brier_score": judged.brier,
            "labels_changed": done.labels_changed,
            "bins": bins,
        }
        click.echo(as_json(whole))
        return
    error = "none" if judged.error is None else f"{judged.error:.4f}"
    brier = "none" if judged.brier is None else f"{judged.brier:.4f}"
    say(
        f"calibration {done.calibration_id}: {done.votes:,} votes, {found.gold:,} gold items, expected"
        f" calibration error {error}, Brier score {brier}; {done.labels_changed:,} labels have another"
        " probability now"
    )
    emit(bins, _COLUMNS, fmt)
