"""`hiveguard solvers`: a preview, the deed, the record, and the way back."""

import getpass
import json

import pytest

from tests.cli.conftest import Terminal


@pytest.fixture
def crowd(terminal: Terminal) -> Terminal:
    """`animals`: a bot that answers `dog` to everything spoils one label of three."""
    lines = ["external_id,solver_id,answer"]
    for item in ("one", "two", "three"):
        lines += [f"{item},bot,dog", f"{item},ann,cat", f"{item},bob,{'dog' if item == 'one' else 'cat'}"]
        lines += [f"{item},cy,cat"]
    (terminal.folder / "votes.csv").write_text("\n".join(lines) + "\n")
    terminal("datasets", "create", "animals")
    terminal("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    terminal("run", "--dataset", "animals", HIVEGUARD_EXPORT_ROOT=str(terminal.folder / "exports"))
    return terminal


def test_a_dry_run_the_deed_and_the_way_back(crowd: Terminal) -> None:
    on = ("--dataset", "animals", "--reason", "always dog")
    tried = crowd("solvers", "exclude", "bot", *on, "--dry-run")
    assert "nothing was changed" in tried.stderr
    assert crowd.rows("solvers", "list") == []
    done = json.loads(crowd("solvers", "exclude", "bot", *on, "--fmt", "json").stdout)
    assert done["solvers"] == ["bot"]
    assert (done["votes"], done["items"], done["recounted"]) == (3, 3, 3)
    assert done["labels"] == {"changed": 1, "withdrawn": 0, "gained": 0}
    assert done["finalized"] == {"lost": 0, "gained": 0, "changed": 3}
    assert done["states"] == []
    table = dict(line.rsplit(maxsplit=1) for line in tried.stdout.splitlines()[1:])
    assert (table["labels_changed"], table["finalized_changed"], table["items"]) == ("1", "3", "3")
    shown = crowd.rows("datasets", "show", "animals")[0]
    assert (shown["votes_received"], shown["votes_applied"], shown["votes_excluded"]) == (12, 9, 3)
    crowd("verify")
    (row,) = crowd.rows("solvers", "list", "--dataset", "animals")
    assert (row["solver_id"], row["actor"], row["reason"]) == ("bot", getpass.getuser(), "always dog")
    explained = json.loads(crowd("explain", "one", "--dataset", "animals", "--fmt", "json").stdout)
    assert [vote["solver_id"] for vote in explained["votes"] if vote["excluded"]] == ["bot"]

    crowd("solvers", "restore", "bot", *on[:2], "--reason", "was a dog person", "--actor", "lead")
    assert crowd.rows("solvers", "list") == []
    (row,) = crowd.rows("solvers", "list", "--all")
    assert (row["restored_by"], row["restored_reason"]) == ("lead", "was a dog person")
    crowd("verify")


def test_several_solvers_go_in_one_transaction_or_none_does(crowd: Terminal) -> None:
    on = ("--dataset", "animals", "--reason", "r")
    assert "nobody has no vote in animals" in crowd.refused("solvers", "exclude", "bot", "nobody", *on)
    assert crowd.rows("solvers", "list") == []
    crowd("solvers", "exclude", "bot", "ann", *on)
    assert [row["solver_id"] for row in crowd.rows("solvers", "list")] == ["bot", "ann"]
    assert "bot is excluded from animals already" in crowd.refused("solvers", "exclude", "bot", *on)
    assert "bob is not excluded" in crowd.refused("solvers", "restore", "bob", *on)
    crowd("solvers", "exclude", "bob", "--dataset", "animals", code=2)
    crowd("verify")


def test_single_votes_are_withdrawn_by_their_ids(crowd: Terminal) -> None:
    votes = crowd("votes", "export", "--dataset", "animals", "--fmt", "jsonl").stdout.splitlines()
    of_bot = [str(vote["vote_id"]) for vote in map(json.loads, votes) if vote["solver_id"] == "bot"]
    why = ("--dataset", "animals", "--reason", "asked for it")
    assert "nothing was changed" in crowd("votes", "withdraw", of_bot[0], *why, "--dry-run").stderr
    done = json.loads(crowd("votes", "withdraw", *of_bot, *why, "--fmt", "json").stdout)
    assert (done["votes"], done["recounted"], done["solvers"]) == (3, 3, ["bot"])
    shown = crowd.rows("datasets", "show", "animals")[0]
    assert (shown["votes_received"], shown["votes_applied"], shown["votes_excluded"]) == (12, 9, 3)
    crowd("verify")
    assert "animals has no vote 999" in crowd.refused("votes", "withdraw", "999", *why)
