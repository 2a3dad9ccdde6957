"""Writes what irrCAC, statsmodels and scikit-learn say of the shared votes; run by `make golden`.

In an environment of its own: irrCAC wants pandas below 3. Numbers alone are written, never votes. Of the
pairs of solvers, which many sets have thousands of, every n-th is kept, and the mean of all.
"""

import csv
import itertools
import json
import math
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd  # noqa: TID253
from irrCAC.raw import CAC
from sklearn.metrics import cohen_kappa_score  # noqa: TID253
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

PAIRS_KEPT = 100
DIGITS = 15


def read(file: Path) -> dict[tuple[str, str], str]:
    """(item, solver) -> answer; a solver counts once an item, as at import."""
    votes: dict[tuple[str, str], str] = {}
    with file.open(newline="") as rows:
        for row in csv.DictReader(rows):
            votes.setdefault((row["external_id"], row["solver_id"]), row["answer"])
    return votes


def by_irrcac(table: pd.DataFrame) -> dict[str, object]:
    """Coefficients with their intervals, and the standard error of percent agreement where bp() has it."""
    raters = CAC(table, digits=DIGITS)
    found: dict[str, object] = {}
    for name, method in (
        ("fleiss_kappa", "fleiss"),
        ("krippendorff_alpha", "krippendorff"),
        ("gwet_ac1", "gwet"),
    ):
        said = getattr(raters, method)()["est"]
        found[name] = [float(said["coefficient_value"]), *map(float, said["confidence_interval"])]
        if method == "fleiss":
            found["percent_agreement"] = float(said["pa"])
    if (table.notna().sum(axis=1) >= 2).all():
        # Brennan-Prediger is percent agreement, moved and scaled by the number of labels.
        found["percent_agreement_error"] = float(raters.bp()["est"]["se"]) * (1 - 1 / raters.q)
    return found


def by_statsmodels(table: pd.DataFrame) -> float | None:
    """Fleiss' kappa, which statsmodels has for equal numbers of votes."""
    counts = table.notna().sum(axis=1).unique()
    if len(counts) > 1:
        return None
    rows = np.array([row.dropna().to_list() for _, row in table.iterrows()])
    return float(fleiss_kappa(aggregate_raters(rows)[0], method="fleiss"))


def by_scikit_learn(votes: dict[tuple[str, str], str]) -> dict[str, object]:
    """Cohen's kappa of pairs of solvers (numbered in text order), and its mean weighted by common items."""
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for (item, solver), answer in votes.items():
        answers[solver][item] = answer
    rows = []
    for (first, a), (second, b) in itertools.combinations(enumerate(sorted(answers)), 2):
        common = sorted(answers[a].keys() & answers[b].keys())
        if common:
            left = [answers[a][item] for item in common]
            right = [answers[b][item] for item in common]
            kappa = float(cohen_kappa_score(left, right))
            rows.append((first, second, len(common), None if math.isnan(kappa) else kappa, left, right))
    defined = [(row[2], row[3]) for row in rows if row[3] is not None]
    kept = [[*row[:4], error(row[4], row[5])] for row in rows[:: max(len(rows) // PAIRS_KEPT, 1)]]
    return {
        "mean": sum(n * kappa for n, kappa in defined) / sum(n for n, _ in defined),
        "weight": sum(n for n, _ in defined),
        "pairs": len(rows),
        "defined": len(defined),
        "some": kept,
    }


def error(left: list[str], right: list[str]) -> float | None:
    """The standard error of Cohen's kappa, by statsmodels."""
    labels = sorted({*left, *right})
    if len(labels) < 2:
        return None
    place = {label: position for position, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    np.add.at(table, ([place[x] for x in left], [place[x] for x in right]), 1)
    said = float(cohens_kappa(table).std_kappa)
    return None if math.isnan(said) else said


def main(shared: Path, output: Path) -> None:
    """One file of numbers for each set."""
    warnings.simplefilter("ignore")
    for folder in sorted(path for path in (shared / "votes").iterdir() if path.is_dir()):
        votes = read(folder / "votes.csv")
        table = pd.Series(votes).unstack()
        labels = sorted(set(votes.values()))
        found = {
            "items": len(table),
            "solvers": len(table.columns),
            "votes": len(votes),
            "irrcac": by_irrcac(table),
            "irrcac_of_labels": {
                label: by_irrcac(
                    table.map(lambda x, label=label: str(int(x == label)) if isinstance(x, str) else x)
                )
                for label in labels
            },
            "statsmodels_fleiss_kappa": by_statsmodels(table),
            "scikit_learn": by_scikit_learn(votes),
        }
        (output / f"{folder.name}.json").write_text(json.dumps(found) + "\n")
        print(folder.name, file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("agreement"))
