"""Dawid-Skene beside crowd-kit: time, memory, new votes beside a refit, and accuracy on real votes."""

import csv
import os
from pathlib import Path
from typing import Any

from benchmarks.bench import QUICK, Bench, Rows
from benchmarks.data import write_crowd
from benchmarks.processes import ROOT, in_turn, measure
from benchmarks.report import Goal, Row, absent, times
from benchmarks.tools import PEER_PYTHON

VOTES_A_SOLVER = 200
NEW_SHARE = 100
"""One vote in so many is new: 10,000 of a million."""

Figures = list[dict[str, Any]]


def rows(bench: Bench) -> Rows:
    """Ten iterations beside crowd-kit's, an update beside a refit, and labels of real votes."""
    votes = bench.sizes.votes
    crowd = bench.folder / "crowd.npz"
    write_crowd(crowd, votes, bench.sizes.items, votes // VOTES_A_SOLVER)
    peers = PEER_PYTHON.exists()
    ours, theirs, grouped, following = in_turn(
        bench.rounds,
        lambda: measure("dawid_skene", "ours", crowd),
        (lambda: measure("dawid_skene", "crowd-kit", crowd, python=PEER_PYTHON)) if peers else None,
        (lambda: measure("dawid_skene", "crowd-kit-grouped", crowd, python=PEER_PYTHON)) if peers else None,
        lambda: measure("new_votes", crowd, str(votes // NEW_SHARE)),
    )
    same = len({entry["labels"] for entry in [*ours, *theirs, *grouped]}) == 1
    peer = "crowd-kit DawidSkene" if peers else "`make peers` installs crowd-kit"
    work = f"Dawid-Skene, 10 iterations over {votes:,} votes in memory"
    yield Row(
        "aggregation",
        work,
        _figures(ours, "seconds"),
        peer,
        _figures(theirs, "seconds"),
        Goal("as fast", 20),
        also=same,
        note="the same labels" if same else "NOT the same labels",
        ours_mb=_figures(ours, "peak_mb"),
        beside_mb=_figures(theirs, "peak_mb"),
    )
    yield Row(
        "aggregation",
        "its extra memory",
        _figures(ours, "extra_mb"),
        peer,
        _figures(theirs, "extra_mb"),
        Goal("as fast", 3),
        unit="MB",
    )
    yield Row(
        "aggregation",
        work,
        _figures(ours, "seconds"),
        f"{peer}, its votes grouped by item too" if peers else peer,
        _figures(grouped, "seconds"),
    )
    off = max(_figures(following, "off"))
    yield Row(
        "aggregation",
        f"{votes // NEW_SHARE:,} new votes into a fit",
        _figures(following, "seconds"),
        f"a refit of {votes:,}, to convergence",
        _figures(following, "refit"),
        times(0.01),
        also=off < 1e-9,
        note=f"probabilities within {off:.0e} of a reading of all votes",
    )
    yield from _accuracy(bench)


def _accuracy(bench: Bench) -> Rows:
    """Dawid-Skene on the real votes that lie beside the project, if they do."""
    shared = Path(os.environ.get("HIVEGUARD_SHARED", ROOT.parent / "shared")).absolute() / "votes"
    folders = sorted(file.parent for file in shared.glob("*/truth.csv"))
    if bench.sizes is QUICK:
        folders = folders[:2]
    if not folders:
        yield absent("aggregation", "accuracy on real votes", "HIVEGUARD_SHARED names no folder with votes/")
        return
    ours = measure("real_crowds", "ours", *folders)
    theirs: dict[str, Any] = {}
    if PEER_PYTHON.exists():
        theirs = measure("real_crowds", "crowd-kit", *folders, python=PEER_PYTHON)
    for folder in folders:
        with (folder / "truth.csv").open(newline="") as file:
            truth = {row["external_id"]: row["label"] for row in csv.DictReader(file)}
        found, beside = ours[folder.name], theirs.get(folder.name)
        note = [f"{method} {_right(found[method], truth):.1f} %" for method in ("majority", "one_coin")]
        if beside:
            unlike = sum(found["dawid_skene"][item] != label for item, label in beside["dawid_skene"].items())
            note.append(f"{unlike or 'no'} label{'' if unlike == 1 else 's'} unlike crowd-kit's")
        yield Row(
            "aggregation",
            f"accuracy of Dawid-Skene on {folder.name}, {len(truth):,} items with truth",
            [_right(found["dawid_skene"], truth)],
            "crowd-kit DawidSkene",
            [_right(beside["dawid_skene"], truth)] if beside else [],
            unit="%",
            note=", ".join(note),
        )


def _right(labels: dict[str, str], truth: dict[str, str]) -> float:
    """Labels that are right, in percent; an item that nobody voted on is not."""
    return 100 * sum(labels.get(item) == label for item, label in truth.items()) / len(truth)


def _figures(measured: Figures, name: str) -> list[float]:
    return [entry[name] for entry in measured]
