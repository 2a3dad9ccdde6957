"""The whole state machine in memory, beside one vote count."""

from benchmarks.bench import Bench, Rows
from benchmarks.data import write_arrays
from benchmarks.processes import in_turn, measure
from benchmarks.report import Goal, Row
from benchmarks.tools import PEER_PYTHON

Figures = list[dict[str, float]]


def rows(bench: Bench) -> Rows:
    """Time and extra memory; votes that come grouped, and votes that have to be grouped first."""
    arriving, grouped = bench.folder / "votes.npz", bench.folder / "grouped.npz"
    write_arrays(arriving, grouped, bench.sizes.votes, bench.sizes.items)
    there = PEER_PYTHON.exists()

    def peer(name: str) -> dict[str, float]:
        return dict(measure("majority_vote", name, arriving, python=PEER_PYTHON))

    ours, grouping, crowd_kit, pandas = in_turn(
        bench.rounds,
        lambda: measure("state_machine", grouped),
        lambda: measure("state_machine", arriving),
        (lambda: peer("crowd-kit")) if there else None,
        (lambda: peer("pandas")) if there else None,
    )
    work = f"state machine, {bench.sizes.votes:,} votes in memory"
    name = "crowd-kit MajorityVote" if there else "`make peers` installs crowd-kit"
    other = "pandas, one majority a task" if there else "`make peers` installs pandas"

    def row(work: str, figures: Figures, peer: str, beside: Figures, figure: str = "seconds") -> Row:
        return Row(
            "state_machine",
            work,
            [entry[figure] for entry in figures],
            peer,
            [entry[figure] for entry in beside],
            unit="MB" if figure == "extra_mb" else "s",
            ours_mb=[entry["peak_mb"] for entry in figures],
            beside_mb=[entry["peak_mb"] for entry in beside],
        )

    time, memory = (
        row(work, ours, name, crowd_kit),
        row("its extra memory", ours, name, crowd_kit, "extra_mb"),
    )
    time.goal, memory.goal = Goal("as fast", 15), Goal("as fast", 10)
    yield time
    yield memory
    yield row("the same with grouping by item", grouping, name, crowd_kit)
    yield row(work, ours, other, pandas)
    yield row("its extra memory", ours, other, pandas, "extra_mb")
