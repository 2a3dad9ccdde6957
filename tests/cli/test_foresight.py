"""`hiveguard forecast`, `hiveguard policy simulate`, and which policy made a label."""

import json

from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal
from tests.foresight.crowds import put_crowd, put_measured_crowd

KEPT = "aab" + "abb"  # 0.666667, then 0.616667: kept under a floor of 0.60, not of 0.65


def test_the_command_says_what_the_rows_rest_on(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals")
    empty = terminal("forecast", "--dataset", "animals", "--fmt", "json")
    assert json.loads(empty.stdout) == []
    assert "nothing to learn from" in empty.stderr
    database = open_database(terminal.environment["HIVEGUARD_DATABASE_URL"])
    with database.read() as connection:
        dataset = get_dataset(connection, "animals")
    put_crowd(database, dataset)
    done = terminal("forecast", "--dataset", "animals", "--fmt", "json", "--seed", "5")
    rows = json.loads(done.stdout)
    assert [row["share"] for row in rows] == [0.5, 0.9, 0.99]
    assert "60 items that can graduate" in done.stderr
    assert "end in review" in done.stderr
    assert 0.8 < rows[0]["reachable"] < 1
    again = terminal("forecast", "--dataset", "animals", "--fmt", "csv", "--seed", "5").stdout
    assert again.splitlines()[1].split(",")[2] == str(rows[0]["votes"])
    assert "date_high" in terminal("forecast", "--dataset", "animals").stdout
    points = terminal.rows("forecast", "--dataset", "animals", "--curve")
    assert points[0]["votes"] == 0
    assert "no dataset" in terminal.refused("forecast", "--dataset", "nobody")


def test_the_command_prints_the_moves_and_one_object(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals")
    (terminal.folder / "votes.csv").write_text(
        "external_id,solver_id,answer\n"
        + "".join(f"weak,s{number},{answer}\n" for number, answer in enumerate(KEPT))
    )
    terminal("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    ask = ("policy", "simulate", "--dataset", "animals", "--set", "REVALIDATION_CONFIDENCE_THRESHOLD=0.65")
    moves = [{"from": "in_revalidation", "to": "needs_review", "items": 1}]
    assert terminal.rows(*ask) == moves
    whole = json.loads(terminal(*ask, "--fmt", "json").stdout)
    assert whole["states"] == moves
    assert whole["exports"]["finalized"] == {"now": 1, "then": 0, "gained": 0, "lost": 1, "relabelled": 0}
    assert whole["other"]["REVALIDATION_CONFIDENCE_THRESHOLD"] == "0.65"
    assert whole["accuracy_on_gold"] is None
    assert whole["recorded"]["states_differ"] == 1  # no run has been yet
    shown = terminal(*ask)
    assert "needs_review" in shown.stdout
    assert "0.6 -> 0.65" in shown.stderr
    assert "KEY=VALUE" in terminal.refused(*ask[:-1], "nonsense", code=2)
    assert "is not a setting" in terminal.refused(*ask[:-1], "FLOOR=0.5")


def test_adaptive_graduation_can_be_tried_once_there_is_a_calibration(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals")
    database = open_database(terminal.environment["HIVEGUARD_DATABASE_URL"])
    with database.read() as connection:
        dataset = get_dataset(connection, "animals")
    put_measured_crowd(database, dataset)
    ask = ("policy", "simulate", "--dataset", "animals", "--set", "ADAPTIVE_TARGET_PROBABILITY=0.9")
    assert "without effect while GRADUATION is documented" in terminal(*ask).stderr
    ask = (*ask, "--set", "GRADUATION=adaptive")
    assert "`hiveguard quality calibrate --dataset animals`" in terminal.refused(*ask)
    terminal("quality", "calibrate", "--dataset", "animals")
    done = terminal(*ask, "--fmt", "json")
    assert "It knows 640 of the votes that are replayed" in done.stderr
    whole = json.loads(done.stdout)
    assert whole["calibration"]["knows_replayed_votes"] == whole["calibration"]["votes"] == 640
    assert whole["other"]["ADAPTIVE_TARGET_PROBABILITY"] == "0.9"
    needed = whole["votes_needed"]
    assert needed["current"]["votes"] == whole["votes_applied"]["current"]
    assert needed["other"]["an_item"] < 8  # as many as each has
    assert needed["other"]["graduated"] == whole["exports"]["graduated"]["then"] > 20
    shown = terminal(*ask)
    assert "GRADUATION: documented -> adaptive" in shown.stderr
    row = next(line for line in shown.stdout.splitlines() if line.startswith("other, adaptive"))
    assert row.split()[2:6] == [
        str(needed["other"][key]) for key in ("items", "votes", "an_item", "graduated")
    ]


def test_labels_say_which_policy_made_them(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals")
    votes = terminal.folder / "votes.csv"
    votes.write_text("external_id,solver_id,answer\n" + "".join(f"old,s{n},a\n" for n in range(3)))
    terminal("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    database = open_database(terminal.environment["HIVEGUARD_DATABASE_URL"])
    apply_votes(database, "animals", run_id="first")
    terminal("policy", "set", "animals", "CONSENSUS_THRESHOLD=2", "--actor", "ada", "--reason", "faster")
    votes.write_text(votes.read_text() + "new,s1,b\nnew,s2,b\n")
    terminal("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    apply_votes(database, "animals", run_id="second")
    first, second = terminal.rows("policy", "show", "animals")
    assert (first["labels"], second["labels"]) == (1, 1)
    assert (second["actor"], second["reason"]) == ("ada", "faster")
    for item, policy in (("old", first), ("new", second)):
        whole = json.loads(terminal("explain", item, "--dataset", "animals", "--fmt", "json").stdout)
        assert whole["policy_id"] == policy["policy_id"]
        assert {batch["policy_id"] for batch in whole["batches"]} == {policy["policy_id"]}
