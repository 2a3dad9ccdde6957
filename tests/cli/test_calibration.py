"""Probabilities at the command line: calibrated, shown, decided by, and in the way of an export."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Terminal

DATASET = ("--dataset", "signs")


@pytest.fixture
def signs(terminal: Terminal, tmp_path: Path) -> Terminal:
    """120 items, half of them gold; eight votes each of people of different skill."""
    chance = np.random.default_rng(4)
    truth = chance.integers(0, 2, 120)
    words = np.array(["stop", "yield"])
    with (tmp_path / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["external_id", "data_ref", "modality", "gold_label"])
        for n, label in enumerate(truth):
            rows.writerow(
                [f"sign-{n:03}", f"https://example.org/{n}.jpg", "image", words[label] if n < 60 else ""]
            )
    with (tmp_path / "votes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["external_id", "solver_id", "answer"])
        for n, label in enumerate(truth):
            for solver in chance.choice(14, 8, replace=False):
                right = chance.random() < 0.95 - 0.03 * solver
                rows.writerow([f"sign-{n:03}", f"solver-{solver}", words[label if right else 1 - label]])
    terminal("datasets", "create", "signs", "--classes", "stop,yield")
    terminal("items", "import", "items.csv", *DATASET)
    terminal("votes", "import", "votes.csv", *DATASET)
    return terminal


def test_labels_are_calibrated_graduate_by_probability_and_may_be_kept_back(signs: Terminal) -> None:
    found = json.loads(signs("quality", "calibrate", *DATASET, "--fmt", "json").stdout)
    assert (found["gold_items"], found["votes"], found["rests_on_prior"]) == (60, 960, False)
    assert 0 <= found["expected_calibration_error"] < 0.2
    assert sum(row["items"] for row in found["bins"]) == 60

    shown = signs.rows("quality", "posterior", *DATASET, "--method", "calibrated")
    assert len(shown) == 120
    for row in shown:
        assert row["p_stop"] + row["p_yield"] == pytest.approx(1)
        assert row["probability"] == max(row["p_stop"], row["p_yield"])
    assert (
        "fewer than 30"
        in signs("quality", "posterior", *DATASET, "--method", "calibrated", "--no-gold").stderr
    )

    signs("policy", "set", "signs", "GRADUATION=adaptive", "--actor", "me", "--reason", "fewer votes")
    refused = signs("run", code=1, HIVEGUARD_MAX_CALIBRATION_ERROR="0.000001").stderr
    assert "probabilities_are_calibrated (expected calibration error" in refused
    assert "nothing was exported" in refused
    signs("run", HIVEGUARD_MAX_CALIBRATION_ERROR="0.9")
    assert "0 differences" in signs("verify", *DATASET).stderr
    graduated = signs.rows("datasets", "items", "signs", "--state", "graduated")
    assert graduated
    assert np.mean([row["total_votes"] for row in graduated]) < 8
    item = json.loads(signs("explain", graduated[0]["item_id"], "--fmt", "json").stdout)
    assert item["batches"][-1]["kind"] == "adaptive"
    assert item["batches"][-1]["probability"] >= 0.95
    assert 0 < item["probability"] <= 1
