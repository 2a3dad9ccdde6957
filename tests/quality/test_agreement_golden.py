"""Agreement on real votes equals what irrCAC, statsmodels and scikit-learn say of them (golden files)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.quality.agreement import Agreement, Estimate, Kappas, agreement, pairwise
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.crowd import Crowd, read_crowd
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.schema import open_database

GOLDEN = {
    path.stem: path for path in sorted(Path(__file__).parent.joinpath("golden", "agreement").glob("*.json"))
}
WITHIN = 1e-6


class Measured:
    """A shared set as the store gives it, measured; and what the libraries say of it."""

    def __init__(self, name: str, votes: Path, folder: Path) -> None:
        database = open_database(f"sqlite:///{folder / 'hiveguard.db'}")
        dataset = create_dataset(database, name, Policy())
        import_votes(database, name, votes / name / "votes.csv", create_items=True)
        with database.read() as connection:
            self.crowd: Crowd = read_crowd(connection, dataset)
        self.found: Agreement = agreement(self.crowd)
        self.golden: dict[str, Any] = json.loads(GOLDEN[name].read_text())


@pytest.fixture(scope="module", params=GOLDEN)
def measured(
    request: pytest.FixtureRequest, shared_votes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    return Measured(request.param, shared_votes, tmp_path_factory.mktemp(request.param))


def test_there_is_a_golden_file_for_each_shared_set(shared_votes: Path) -> None:
    assert set(GOLDEN) == {path.name for path in shared_votes.iterdir() if path.is_dir()}


def test_counts_are_those_that_the_libraries_were_given(measured: Measured) -> None:
    found, golden = measured.found, measured.golden
    assert (found.items, found.solvers, found.votes) == (golden["items"], golden["solvers"], golden["votes"])


def same_as_irrcac(figures: dict[str, Estimate], golden: dict[str, Any]) -> None:
    for name in ("fleiss_kappa", "krippendorff_alpha", "gwet_ac1"):
        figure = figures[name]
        assert [figure.value, figure.low, figure.high] == pytest.approx(golden[name], abs=WITHIN), name
    assert figures["percent_agreement"].value == pytest.approx(golden["percent_agreement"], abs=WITHIN)


def test_coefficients_and_intervals_are_irrcacs(measured: Measured) -> None:
    same_as_irrcac(measured.found.figures, measured.golden["irrcac"])


def test_each_label_against_the_rest_is_irrcacs(measured: Measured) -> None:
    golden = measured.golden["irrcac_of_labels"]
    assert {entry.label for entry in measured.found.per_label} == set(golden)
    for entry in measured.found.per_label:
        same_as_irrcac(entry.figures, golden[entry.label])


def test_the_error_of_percent_agreement_is_irrcacs_where_it_has_one(measured: Measured) -> None:
    from scipy.special import stdtrit

    error = measured.golden["irrcac"].get("percent_agreement_error")
    if error is None:
        pytest.skip("irrCAC has it where every item has two votes")
    figure = measured.found.figures["percent_agreement"]
    assert figure.value is not None
    assert figure.low is not None
    quantile = stdtrit(measured.found.items - 1, 0.975)
    assert (figure.value - figure.low) / quantile == pytest.approx(error, abs=WITHIN)


def test_fleiss_kappa_is_statsmodels_where_counts_are_equal(measured: Measured) -> None:
    golden = measured.golden["statsmodels_fleiss_kappa"]
    if golden is None:
        pytest.skip("statsmodels has it for equal numbers of votes")
    assert measured.found.figures["fleiss_kappa"].value == pytest.approx(golden, abs=WITHIN)


def joined(crowd: Crowd) -> Kappas:
    parts = list(pairwise(crowd))
    return Kappas(*(np.concatenate([getattr(part, name) for part in parts]) for name in Kappas.__slots__))


def test_cohens_kappa_is_scikit_learns_for_pairs_and_in_the_mean(measured: Measured) -> None:
    golden = measured.golden["scikit_learn"]
    found = joined(measured.crowd)
    assert len(found.kappa) == golden["pairs"]
    defined = ~np.isnan(found.kappa)
    assert (int(defined.sum()), int(found.items[defined].sum())) == (golden["defined"], golden["weight"])
    place = {pair: n for n, pair in enumerate(zip(found.first.tolist(), found.second.tolist(), strict=True))}
    for first, second, items, kappa, error in golden["some"]:
        row = place[first, second]
        assert found.items[row] == items
        assert found.kappa[row] == pytest.approx(np.nan if kappa is None else kappa, abs=WITHIN, nan_ok=True)
        if error is not None:
            assert found.error[row] == pytest.approx(error, abs=WITHIN)
    assert measured.found.figures["cohens_kappa"].value == pytest.approx(golden["mean"], abs=WITHIN)
