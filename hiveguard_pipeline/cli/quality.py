"""`hiveguard quality`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, required_dataset, say

if TYPE_CHECKING:
    from hiveguard_pipeline.quality.aggregation import Aggregate
    from hiveguard_pipeline.store.crowd import Crowd


@click.group()
def quality() -> None:
    """Measure what votes say of labels and of people."""


@quality.command()
@required_dataset
@click.option("--pairs", is_flag=True, help="Cohen's kappa of every two solvers instead.")
@click.option("--confusion", is_flag=True, help="How often two labels are given to one item instead.")
@fmt_option
def agreement(dataset_name: str, pairs: bool, confusion: bool, fmt: str) -> None:
    """Show how far solvers agree, overall and per label, each figure with its 95% interval.

    Reads the votes as they are; those of excluded solvers do not count. Structured answers (boxes, spans)
    are held against the labels instead, by F1.
    """
    from hiveguard_pipeline.cli import agreement as printed
    from hiveguard_pipeline.quality.agreement import agreement as measure
    from hiveguard_pipeline.quality.structured import structured_agreement
    from hiveguard_pipeline.rules.structured.tasks import is_structured
    from hiveguard_pipeline.store.crowd import read_crowd
    from hiveguard_pipeline.store.datasets import get_dataset
    from hiveguard_pipeline.store.structured import refuse_structured

    if pairs and confusion:
        raise click.UsageError("--pairs and --confusion are two listings: choose one")
    with open_store().read() as connection:
        dataset = get_dataset(connection, dataset_name)
        if is_structured(dataset.task_type) and not (pairs or confusion):
            figures = structured_agreement(connection, dataset).figures()
            emit([{"dataset": dataset_name, **figures}], ["dataset", *figures], fmt)
            return
        refuse_structured(dataset, "a listing of pairs of solvers or labels")
        crowd = read_crowd(connection, dataset)
    if pairs:
        printed.print_pairs(crowd, fmt)
        return
    found = measure(crowd)
    if confusion:
        printed.print_confusion(found, fmt)
        return
    for note in found.notes:
        say(note)
    counts = ["items", "paired_items", "solvers", "votes"]
    printed.print_figures({"dataset": dataset_name, **found.as_object()}, ["dataset", *counts], fmt)
    if fmt == "table":
        printed.print_most_confused(found)


@quality.command()
@click.argument("first", metavar="A", type=click.Path(path_type=Path))
@click.argument("second", metavar="B", type=click.Path(path_type=Path))
@click.option("--disagreements", is_flag=True, help="The items with two different labels instead.")
@click.option("--reason", metavar="T", default="annotators disagree", show_default=True, help="Why to look.")
@fmt_option
def compare(first: Path, second: Path, disagreements: bool, reason: str, fmt: str) -> None:
    """Compare two files of annotations: external_id or item_id, label, and maybe solver_id.

    CSV, JSONL, or one JSON array. With --disagreements, the list for review.
    """
    from hiveguard_pipeline.cli import agreement as printed
    from hiveguard_pipeline.quality import QualityAssurance

    quality_assurance = QualityAssurance()
    a, b = quality_assurance.load_annotations(first), quality_assurance.load_annotations(second)
    found = quality_assurance.compute_agreement(a, b)
    for note in found["notes"]:
        say(note)
    for name, contested in ((first, a.contested), (second, b.contested)):
        if contested:
            say(f"{name}: {len(contested)} items left out: no label has more than half of their answers")
    flagged = quality_assurance.flag_for_review(found["disagreements"], reason=reason)
    if disagreements:
        columns = printed.DISAGREEMENT_COLUMNS
        emit(({name: entry.get(name) for name in columns} for entry in flagged), columns, fmt)
        return
    printed.print_figures(found, ["items", "only_in_a", "only_in_b"], fmt)
    if fmt == "table" and flagged:
        say(f"items with two different labels: {len(flagged)} (--disagreements lists them)")


@quality.command()
@required_dataset
@click.option(
    "--method",
    type=click.Choice(["majority", "one_coin", "dawid_skene", "calibrated"]),
    default="dawid_skene",
    show_default=True,
    help="Shares of votes; an accuracy for each solver; a confusion matrix for each; calibrated on gold.",
)
@click.option("--no-gold", is_flag=True, help="As if no item's true label were known.")
@click.option(
    "--prior",
    nargs=2,
    type=click.FloatRange(min=0),
    default=(0.0, 0.0),
    metavar="RIGHT WRONG",
    help="Pseudo-votes of each solver on each class: right ones, and on each other class wrong ones.",
)
@click.option(
    "--iterations", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@fmt_option
def posterior(
    dataset_name: str, method: str, no_gold: bool, prior: tuple[float, float], iterations: int, fmt: str
) -> None:
    """Show the label of each item with its probability, and that of each class (p_CLASS).

    In item_id order; items without votes are left out. The votes of excluded solvers do not count.
    calibrated: as `hiveguard quality calibrate` gives them to labels; a gold item has what its votes say.
    """
    from hiveguard_pipeline.cli.posterior import print_posterior
    from hiveguard_pipeline.quality.aggregation import Prior, aggregate
    from hiveguard_pipeline.store.crowd import read_crowd
    from hiveguard_pipeline.store.datasets import get_dataset
    from hiveguard_pipeline.store.structured import refuse_structured

    with open_store().read() as connection:
        dataset = get_dataset(connection, dataset_name)
        refuse_structured(dataset, "a model of solvers")
        crowd = read_crowd(connection, dataset)
    if method == "calibrated":
        print_posterior(crowd, _calibrated(crowd, no_gold=no_gold), fmt)
        return
    found = aggregate(crowd, method, iterations=iterations, use_gold=not no_gold, prior=Prior(*prior))
    print_posterior(crowd, found, fmt)


@quality.command()
@required_dataset
@fmt_option
def calibrate(dataset_name: str, fmt: str) -> None:
    """Calibrate on gold items, and give each label its probability of being right.

    Prints how the probabilities do on gold items that they were not calibrated on: by bins of the
    probability that was said, and in json the error and the score of all of them too. The nightly run does
    the same; `hiveguard quality posterior --method calibrated` shows the probabilities.
    """
    from hiveguard_pipeline.cli.calibration import print_reliability
    from hiveguard_pipeline.quality.calibration import calibrate_dataset

    print_reliability(dataset_name, calibrate_dataset(open_store(), dataset_name), fmt)


@quality.command()
@required_dataset
@click.option("--flagged", "flagged_only", is_flag=True, help="Only those who stand out.")
@click.option(
    "--fdr",
    metavar="Q",
    type=float,
    default=0.05,
    show_default=True,
    help="Of those flagged, the share that is expected to be flagged wrongly.",
)
@fmt_option
def solvers(dataset_name: str, flagged_only: bool, fdr: float, fmt: str) -> None:
    """Show how each solver answers beside the others, and who stands out, and why.

    Reads the votes as they are. Excluded solvers are shown too, held against those who count. The table
    shows some of the columns; json, jsonl and csv have all. Of structured answers (boxes, spans) it shows
    how they agree with labels and gold labels, by F1, and flags no one.
    """
    from hiveguard_pipeline.cli import solver_rows as printed
    from hiveguard_pipeline.quality.solvers import read_solver_quality
    from hiveguard_pipeline.quality.structured import SOLVER_COLUMNS, structured_agreement
    from hiveguard_pipeline.rules.structured.tasks import is_structured
    from hiveguard_pipeline.store.datasets import get_dataset
    from hiveguard_pipeline.store.structured import refuse_structured

    with open_store().read() as connection:
        dataset = get_dataset(connection, dataset_name)
        if is_structured(dataset.task_type):
            if flagged_only:
                refuse_structured(dataset, "a search for outliers")
            emit(structured_agreement(connection, dataset).rows(), list(SOLVER_COLUMNS), fmt)
            return
        found = read_solver_quality(connection, dataset, fdr)
    for note in found.notes:
        say(note)
    printed.print_solvers(found, flagged_only, fmt)
    if fmt == "table":
        say(f"{int(found.outliers.flagged.sum())} of {len(found)} solvers stand out (at --fdr {fdr:g})")


@quality.command("spot-checks")
@required_dataset
@click.option(
    "--share",
    metavar="X",
    type=float,
    default=0.1,
    show_default=True,
    help="Of each solver's votes, rounded up.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="K", help="Another, another sample.")
@fmt_option
def spot_checks(dataset_name: str, share: float, seed: int, fmt: str) -> None:
    """Draw votes of each solver to look at by hand: the same ones, as long as there are no new votes."""
    from hiveguard_pipeline.cli import solver_rows as printed
    from hiveguard_pipeline.quality.solvers import spot_checks as draw
    from hiveguard_pipeline.store.datasets import get_dataset

    with open_store().read() as connection:
        drawn = draw(connection, get_dataset(connection, dataset_name), share, seed)
    printed.print_spot_checks(drawn, fmt)


def _calibrated(crowd: "Crowd", *, no_gold: bool) -> "Aggregate":
    from hiveguard_pipeline.quality.calibration import as_aggregate, calibrate, without_gold

    found = calibrate(without_gold(crowd) if no_gold else crowd)
    if found.thin:
        say(found.thin_text)
    return as_aggregate(crowd, found)
