"""`hiveguard demo --active`: the loop of active learning, each strategy beside drawing at random."""

import tempfile
from pathlib import Path

import click

from hiveguard_pipeline.cli.shared import emit, open_store, progress, say
from hiveguard_pipeline.settings import Settings

DATASET = "demo-digits"
SEEDS = 3
REACHED = 0.90
_LOWEST = 0.4


def run_active_demo(seed: int, chart: Path | None) -> None:
    """Run each strategy with some seeds in a store of its own, and one in the user's store to look at."""
    from hiveguard_pipeline import pictures
    from hiveguard_pipeline.demo import active_learning as demo
    from hiveguard_pipeline.exports.files import replacing
    from hiveguard_pipeline.home import prepare_home
    from hiveguard_pipeline.learning.prelabels import prelabel
    from hiveguard_pipeline.store.datasets import list_datasets
    from hiveguard_pipeline.store.schema import open_database

    settings = Settings.from_environment()
    prepare_home(settings)
    digits = demo.write_digits(settings.home / "demo-digits")
    people = ", ".join(f"{count} wrong {wrong:.0%} of the time" for count, wrong in demo.PEOPLE)
    say(
        f"{len(digits.pool):,} images of digits to ask about, {len(digits.judges):,} others to judge by;"
        f" simulated people ({people}), {demo.ASKED} an item; {demo.ROUNDS} rounds of {demo.BATCH} items,"
        f" {SEEDS} seeds (a minute or two)"
    )
    curves = {}
    with tempfile.TemporaryDirectory() as folder, progress("rounds", "rounds") as report:
        scratch = open_database(f"sqlite:///{Path(folder) / 'demo.db'}")
        total, done = len(demo.STRATEGIES) * SEEDS * demo.ROUNDS, 0

        def one_more() -> None:
            nonlocal done
            done += 1
            report(done, total)

        for strategy in demo.STRATEGIES:
            runs = []
            for number in range(seed, seed + SEEDS):
                name = f"{strategy}-{number}"
                demo.prepare(scratch, name, digits, number)
                runs.append(
                    demo.learn(
                        scratch,
                        name,
                        f"{folder}/models",
                        digits,
                        strategy,
                        number,
                        rounds=demo.ROUNDS,
                        report=one_more,
                    )
                )
            curves[strategy] = demo.mean_curve(runs)
    rows = [
        {"labels": points[0].labels}
        | {name: round(point.accuracy, 4) for name, point in zip(curves, points, strict=True)}
        for points in zip(*curves.values(), strict=True)
    ]
    emit(rows, ["labels", *curves], "table")
    at_random = demo.labels_to_reach(curves["random"], REACHED)
    for name, curve in curves.items():
        reached = demo.labels_to_reach(curve, REACHED)
        beside = ""
        if name != "random" and reached and at_random:
            beside = f" ({100 * (reached - at_random) / at_random:+.0f}% beside random)"
        click.echo(
            f"{name}: {REACHED:.0%} right "
            + (f"from {reached} labels on{beside}" if reached else "not reached")
        )
    path = chart or settings.home / "demo-active.svg"
    lines = [(name, [(float(p.labels), p.accuracy) for p in curve]) for name, curve in curves.items()]
    svg = pictures.lines_svg(lines, ("labels", "share of the judging images right"), _LOWEST)
    with replacing(path) as stream:
        stream.write(svg.encode())
    click.echo(f"chart: {path}")
    database = open_store()
    with database.read() as connection:
        there = DATASET in [dataset.name for dataset in list_datasets(connection)]
    if not there:
        demo.prepare(database, DATASET, digits, seed)
        demo.learn(database, DATASET, settings.model_root, digits, "hybrid", seed, rounds=demo.ROUNDS)
        prelabel(database, DATASET, settings.model_root)
    click.echo(
        f"next: `hiveguard active models --dataset {DATASET}`, `hiveguard active select --dataset {DATASET}`"
    )
