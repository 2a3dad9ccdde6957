"""The benchmark's own arithmetic: goals, ratios, the launcher's figures, the picture."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.picture import cost_svg
from benchmarks.places import SqlitePlace
from benchmarks.processes import BenchmarkError, in_turn, run
from benchmarks.report import Goal, Row, absent, markdown, times
from benchmarks.stores import VOTES_AN_ITEM, add_votes, history_store
from hiveguard_pipeline.store.ledger import apply_votes


@pytest.mark.parametrize(
    ("goal", "ours", "beside", "reached"),
    [
        (times(1.5), 3.0, 2.0, True),
        (times(1.5), 3.1, 2.0, False),
        (Goal("as fast", 15), 1.0, 15.0, True),
        (Goal("as fast", 15), 1.0, 14.9, False),
        (Goal("more", 0.35), 0.38, 0.04, True),
        (Goal("more", 0.35), 0.40, 0.04, False),
        (Goal("under", 12), 12.0, None, True),
        (Goal("under", 12), 12.1, None, False),
    ],
)
def test_a_goal_is_reached_or_not(goal: Goal, ours: float, beside: float | None, reached: bool) -> None:
    row = Row("x", "work", [ours], "peer", [] if beside is None else [beside], goal)
    assert row.reached is reached


def test_a_second_condition_can_fail_a_goal_that_is_reached() -> None:
    assert Row("x", "work", [1.0], "peer", [1.0], times(1.2), also=False).reached is False


def test_a_row_shows_median_spread_and_ratio_and_an_absent_peer_is_named() -> None:
    row = Row("x", "work", [3.0, 1.0, 2.0], "peer", [1.0, 1.0, 1.0], times(1.5), ours_mb=[10.0])
    text = markdown([row, absent("y", "other", "psql is not installed", times(2))], "heading")
    assert "| work | 2.00 s (1.00 .. 3.00) | peer 1.00 s (1.00 .. 1.00) | 2.00x | <= 1.5x | **no** |" in text
    assert "| other |  | psql is not installed |  | <= 2x |  |  |" in text


def test_sides_take_turns() -> None:
    order: list[str] = []
    in_turn(2, lambda: order.append("ours"), None, lambda: order.append("theirs"))
    assert order == ["ours", "theirs", "ours", "theirs"]


def test_a_process_is_measured_by_its_own_memory_not_by_that_of_its_parent() -> None:
    held = bytearray(300 << 20)
    small = run([sys.executable, "-S", "-c", "print('done')"])
    large = run([sys.executable, "-S", "-c", "x = bytearray(200 << 20)"])
    assert len(held) == 300 << 20
    assert small.printed == "done\n"
    assert small.peak_mb < 100 < 200 < large.peak_mb < 300


def test_a_process_that_fails_says_what_it_said() -> None:
    with pytest.raises(BenchmarkError, match="no such thing"):
        run([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_the_picture_is_xml_and_holds_each_series() -> None:
    svg = cost_svg({"batch <a>": [(10, 1.0), (1000, 1.1)], "tick": [(10, 2.0), (100, 2.0), (1000, 2.0)]})
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert "batch <a> 1.10x" in texts
    assert "tick 1.00x" in texts
    assert cost_svg({"one point": [(10, 1.0)]}) == ""


def test_a_history_is_processed_and_a_batch_on_it_applies_every_vote(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    store = history_store(place, 300 * VOTES_AN_ITEM)
    database = store.open()
    assert apply_votes(database, "bench", run_id="before").votes_applied == 0
    add_votes(database, "SELECT item_id, label FROM labels WHERE state = 'in_revalidation'", 100, 3, "new")
    done = apply_votes(database, "bench", run_id="after")
    assert (done.items_read, done.votes_applied, done.batches) == (100, 300, 100)
    with place.copy(store).open().read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM labels").scalar() == 300
