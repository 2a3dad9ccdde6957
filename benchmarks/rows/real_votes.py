"""What probabilities are worth on real votes: how far they can be believed, and how many votes they save."""

import csv
import os
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.bench import QUICK, Bench, Rows
from benchmarks.processes import ROOT, measure
from benchmarks.report import Row, absent, times

FEWEST_VOTES = 15
"""Votes an item, on average, of the sets that are replayed."""

Outcomes = list[dict[str, Any]]


def calibration_rows(bench: Bench) -> Rows:
    """Expected calibration error on held-out truth with a fifth of the truth as gold, mean over draws."""
    folders = _folders(bench)
    if not folders:
        yield absent("calibration", "calibration error on real votes", "HIVEGUARD_SHARED names no votes/")
        return
    found = measure("reliability", str(bench.rounds), *folders)
    every = {way: [_mean(found[folder.name], way) for folder in folders] for way in _WAYS}
    for number, folder in enumerate(folders):
        yield _error_row(folder.name, {way: errors[number : number + 1] for way, errors in every.items()})
    overall = {way: [mean(errors)] for way, errors in every.items()}
    row = _error_row(f"mean of {len(folders)} sets", overall)
    row.also = mean(every["calibrated"]) <= 0.05
    row.goal, row.note = times(1), row.note + "; goal: at most 5 %"
    yield row


_WAYS = ("calibrated", "vote_share", "dawid_skene")


def _error_row(name: str, errors: dict[str, list[float]]) -> Row:
    return Row(
        "calibration",
        f"expected calibration error, {name}",
        [100 * error for error in errors["calibrated"]],
        "vote share",
        [100 * error for error in errors["vote_share"]],
        unit="%",
        note=f"Dawid-Skene's posterior {100 * errors['dawid_skene'][0]:.1f} %",
    )


def replayed_rows(bench: Bench) -> Rows:
    """Votes an item under adaptive graduation, beside the documented rule at no less coverage."""
    folders = [folder for folder in _folders(bench) if _votes_an_item(folder) >= FEWEST_VOTES]
    if not folders:
        yield absent("replayed", "votes to graduate real items", "HIVEGUARD_SHARED names no votes/")
        return
    if bench.sizes is QUICK:
        folders = folders[:1]
    found = measure("replayed", str(bench.rounds), *folders)
    for folder in folders:
        outcomes: Outcomes = found[folder.name]
        ours, theirs = ([outcome[rule] for outcome in outcomes] for rule in ("adaptive", "documented"))
        yield Row(
            "replayed",
            f"votes an item, {folder.name} in {len(outcomes)} orders",
            [outcome["votes"] for outcome in ours],
            "documented rule",
            [outcome["votes"] for outcome in theirs],
            times(0.65),
            unit="votes",
            note=(
                f"graduated {_shares(ours, 'coverage')} beside {_shares(theirs, 'coverage')}, right"
                f" {_shares(ours, 'accuracy')} beside {_shares(theirs, 'accuracy')}"
            ),
        )


def _shares(outcomes: Outcomes, name: str) -> str:
    return f"{100 * mean(outcome[name] for outcome in outcomes):.1f} %"


def _mean(errors: Outcomes, way: str) -> float:
    return mean(error[way] for error in errors)


def _folders(bench: Bench) -> list[Path]:
    shared = Path(os.environ.get("HIVEGUARD_SHARED", ROOT.parent / "shared")).absolute() / "votes"
    folders = sorted(file.parent for file in shared.glob("*/truth.csv"))
    return folders[:2] if bench.sizes is QUICK else folders


def _votes_an_item(folder: Path) -> float:
    with (folder / "votes.csv").open(newline="") as file:
        voted = [row["external_id"] for row in csv.DictReader(file)]
    return len(voted) / len(set(voted))
