"""How figures of agreement are printed, for the commands of `hiveguard quality` that have them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from hiveguard_pipeline.cli.shared import as_json, emit

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.agreement import Agreement
    from hiveguard_pipeline.store.crowd import Crowd

FIGURE_COLUMNS = ["label", "figure", "value", "low", "high"]
PAIR_COLUMNS = ["first", "second", "items", "percent_agreement", "cohens_kappa", "low", "high"]
CONFUSION_COLUMNS = ["first", "second", "pairs", "share", "share_of_disagreement"]
DISAGREEMENT_COLUMNS = ["external_id", "item_id", "label_a", "label_b", "reason"]

_MOST_CONFUSED = 10
_LABEL_FIGURES = ("specific_agreement", "percent_agreement", "cohens_kappa", "fleiss_kappa", "gwet_ac1")


def print_figures(measured: dict[str, Any], counts: list[str], fmt: str) -> None:
    """What `Agreement.as_object` or `compute_agreement` gave: an object, or rows.

    counts: the names of the counts, which the table shows first.
    """
    if fmt in ("json", "jsonl"):
        click.echo(as_json(measured))
    elif fmt == "csv":
        emit((_exact(row) for row in _figure_rows(measured)), FIGURE_COLUMNS, fmt)
    else:
        emit([{name: measured[name] for name in counts}], counts, fmt)
        click.echo()
        overall = [_rounded(row) for row in _figure_rows(measured) if row["label"] is None]
        emit(overall, FIGURE_COLUMNS[1:], fmt)
        labels = [
            _rounded({"label": label, **{name: row[name] for name in ("votes", "share", *_LABEL_FIGURES)}})
            for label, row in measured["per_label"].items()
        ]
        if labels:
            click.echo()
            emit(labels, list(labels[0]), fmt)


def print_confusion(found: "Agreement", fmt: str, most: int | None = None) -> None:
    """Pairs of labels that are given to one item; in a table that goes with others, those most confused."""
    rows = list(_confusion_rows(found))
    if most is not None:
        rows = sorted((row for row in rows if row["first"] != row["second"]), key=lambda row: -row["pairs"])[
            :most
        ]
        if rows:
            click.echo()
    emit(map(_shown(fmt), rows), CONFUSION_COLUMNS, fmt)


def print_most_confused(found: "Agreement") -> None:
    """The end of the table of figures."""
    print_confusion(found, "table", _MOST_CONFUSED)


def print_pairs(crowd: "Crowd", fmt: str) -> None:
    """Cohen's kappa of every two solvers who have items in common, as they are found."""
    emit(map(_shown(fmt), _pair_rows(crowd)), PAIR_COLUMNS, fmt)


def _figure_rows(measured: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for label, entry in [(None, measured), *measured["per_label"].items()]:
        for name, interval in entry["intervals"].items():
            low, high = interval or (None, None)
            yield {"label": label, "figure": name, "value": entry[name], "low": low, "high": high}


def _confusion_rows(found: "Agreement") -> Iterator[dict[str, Any]]:
    cells = found.confusion
    total = cells.total
    apart = int(cells.pairs[cells.first != cells.second].sum())
    for first, second, pairs in zip(
        cells.first.tolist(), cells.second.tolist(), cells.pairs.tolist(), strict=True
    ):
        yield {
            "first": found.classes[first],
            "second": found.classes[second],
            "pairs": pairs,
            "share": pairs / total,
            "share_of_disagreement": pairs / apart if first != second else None,
        }


def _pair_rows(crowd: "Crowd") -> Iterator[dict[str, Any]]:
    from hiveguard_pipeline.quality.agreement import pairwise

    for found in pairwise(crowd):
        low, high = found.interval
        columns = (found.first, found.second, found.items, found.agreed, found.kappa, low, high)
        for first, second, items, agreed, *figures in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            kappa, least, most = (None if figure != figure else figure for figure in figures)
            yield {
                "first": crowd.solvers[first],
                "second": crowd.solvers[second],
                "items": items,
                "percent_agreement": agreed / items,
                "cohens_kappa": kappa,
                "low": least,
                "high": most,
            }


def _shown(fmt: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return {"table": _rounded, "csv": _exact}.get(fmt, dict)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    """Floats in full: a table's six digits are not enough for a file."""
    return {name: repr(value) if isinstance(value, float) else value for name, value in row.items()}
