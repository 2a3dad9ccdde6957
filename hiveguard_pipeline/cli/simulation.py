"""How `hiveguard policy simulate` prints what it found."""

from dataclasses import asdict
from typing import Any

import click

from hiveguard_pipeline.cli.shared import as_json, emit, say
from hiveguard_pipeline.foresight.simulate import Known, Simulation
from hiveguard_pipeline.rules.policy import SETTINGS
from hiveguard_pipeline.rules.states import STATES


def print_simulation(dataset_name: str, found: Simulation, fmt: str) -> None:
    """The items by state under the two policies as rows; in json one object with all of it."""
    moves = [
        {"from": before, "to": after, "items": int(found.matrix[row, column])}
        for row, before in enumerate(STATES)
        for column, after in enumerate(STATES)
        if found.matrix[row, column]
    ]
    _say_what_it_rests_on(found)
    if fmt == "json":
        click.echo(as_json(_whole(dataset_name, found) | {"states": moves}))
        return
    if found.recorded_states_differ or found.recorded_labels_differ:
        say(
            f"as recorded, {found.recorded_states_differ:,} items stand in another state than this replay of"
            f" the current policy gives, and {found.recorded_labels_differ:,} have another label: earlier"
            " policies made them, or votes wait for a run"
            + (", or earlier calibrations did, or a night settled them" if found.current.is_adaptive else "")
        )
    if fmt != "table":
        emit(moves, ["from", "to", "items"], fmt)
        return
    _show(found, moves)


def _say_what_it_rests_on(found: Simulation) -> None:
    if found.known is not None:
        say(_known_text(found.known))
    idle = [
        key
        for key, value in found.other.settings(whole=True).items()
        if key not in SETTINGS and value != found.current.settings(whole=True)[key]
    ]
    if idle and not found.other.is_adaptive and not found.current.is_adaptive:
        say(f"{', '.join(idle)}: without effect while GRADUATION is {found.other.graduation}")


def _known_text(known: Known) -> str:
    made = known.calibration
    return (
        f"replayed with calibration {made.calibration_id} of {made.created_at}, made of {made.votes:,} votes"
        f" and {made.gold_items:,} gold items. It knows {known.replayed:,} of the votes that are replayed:"
        " what it gives is better than new votes will be, the more so where solvers have few votes. A gold"
        " item is judged without what its own votes told of their solvers"
    )


def _whole(name: str, found: Simulation) -> dict[str, Any]:
    gold: dict[str, Any] | None = None
    if found.gold_now is not None and found.gold_then is not None:
        gold = {
            "items": found.gold_items,
            "current": asdict(found.gold_now),
            "other": asdict(found.gold_then),
        }
    return {
        "dataset": name,
        "current": found.current.settings(),
        "other": found.other.settings(),
        "items": found.items,
        "votes": found.votes,
        "decided_by_people": found.decided,
        "states_changed": found.states_changed,
        "labels_changed": found.labels_changed,
        "labels_gained": found.labels_gained,
        "labels_lost": found.labels_lost,
        "votes_applied": {"current": found.applied_now, "other": found.applied_then},
        "votes_needed": {"current": asdict(found.needed_now), "other": asdict(found.needed_then)},
        "calibration": found.known and _calibration(found.known),
        "exports": {"finalized": asdict(found.finalized), "graduated": asdict(found.graduated)},
        "accuracy_on_gold": gold,
        "recorded": {
            "states_differ": found.recorded_states_differ,
            "labels_differ": found.recorded_labels_differ,
        },
    }


def _calibration(known: Known) -> dict[str, Any]:
    made = known.calibration
    return {
        "calibration_id": made.calibration_id,
        "created_at": made.created_at,
        "votes": made.votes,
        "gold_items": made.gold_items,
        "knows_replayed_votes": known.replayed,
    }


def _show(found: Simulation, moves: list[dict[str, Any]]) -> None:
    current, other = found.current.settings(whole=True), found.other.settings(whole=True)
    for key, value in other.items():
        if value != current[key]:
            say(f"{key}: {current[key]} -> {value}")
    say(
        f"{found.states_changed:,} of {found.items:,} items change state, {found.labels_changed:,} their"
        f" label; {found.labels_gained:,} gain one, {found.labels_lost:,} lose it;"
        f" {found.decided:,} were decided by people and stay"
    )
    emit(moves, ["from", "to", "items"], "table")
    click.echo()
    exports = {"finalized": found.finalized, "graduated": found.graduated}
    emit(
        [{"export": name} | asdict(export) for name, export in exports.items()],
        ["export", "now", "then", "gained", "lost", "relabelled"],
        "table",
    )
    click.echo()
    needed = (("current", found.current, found.needed_now), ("other", found.other, found.needed_then))
    emit(
        [
            {"votes_needed": f"{which}, {policy.graduation}"} | asdict(votes)
            for which, policy, votes in needed
        ],
        ["votes_needed", "items", "votes", "an_item", "graduated", "a_graduated", "settled"],
        "table",
    )
    if found.gold_now is None or found.gold_then is None:
        say("no gold item has votes: accuracy is not known")
        return
    click.echo()
    rows = [
        {"on_gold": f"{which}, {policy_name}"} | asdict(getattr(on_gold, which))
        for which in ("labelled", "graduated")
        for policy_name, on_gold in (("current", found.gold_now), ("other", found.gold_then))
    ]
    emit(rows, ["on_gold", "items", "right", "accuracy", "low", "high"], "table")
