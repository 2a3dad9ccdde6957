"""A ranking knows whose it is, and says when it is out of date."""

import warnings

import pytest

from hiveguard_pipeline.learning.selection import Ranking, SelectionWarning, UsedUpError, uncertainty

ROWS = [[0.5, 0.5], [0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]


def _ranking() -> Ranking:
    return Ranking(uncertainty(ROWS, 4), model_version="m1", labelled=100)


def test_it_is_handed_out_in_order_and_then_used_up() -> None:
    ranking = _ranking()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = ranking.take(2, model_version="m1", labelled=100)
        rest = ranking.take(9, model_version="m1", labelled=100)
    assert [first.positions.tolist(), rest.positions.tolist()] == [[0, 2], [3, 1]]
    assert first.uncertainty_mean == pytest.approx((1.0 + 0.8) / 2)
    assert ranking.left == 0
    with pytest.raises(UsedUpError, match="train and rank again"):
        ranking.take(1, model_version="m1", labelled=100)


@pytest.mark.parametrize(
    ("version", "labelled", "said"),
    [
        ("m2", 100, "made with model m1; the model is m2 now:"),
        ("m1", 102, "made with model m1; 2 labels came since:"),
        ("m2", 150, "the model is m2 now and 50 labels came since:"),
    ],
)
def test_it_is_not_handed_out_stale_without_saying_so(version: str, labelled: int, said: str) -> None:
    with pytest.warns(SelectionWarning, match=said):
        part = _ranking().take(2, model_version=version, labelled=labelled)
    assert part.positions.tolist() == [0, 2]
    assert said in part.cautions[0]
