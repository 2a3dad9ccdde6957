"""`hiveguard audit`: what was done, in a form that anyone can check, and what was tampered with."""

import hashlib
import json
import sqlite3

from tests.cli.conftest import Terminal

HASHED = [
    "chain",
    "sequence",
    "at",
    "actor",
    "action",
    "target",
    "reason",
    "before",
    "after",
    "previous_sha256",
]


def test_events_are_listed_exported_and_verified(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals")
    terminal(
        "policy", "set", "animals", "REVALIDATION_MIN_VOTES=2", "--actor", "ann", "--reason", 'said "so", Ä'
    )
    assert [row["action"] for row in terminal.rows("audit", "list", "--n", "2")] == [
        "policy.set",
        "dataset.create",
    ]
    previous = "0" * 64
    for line in terminal("audit", "export").stdout.splitlines():
        row = json.loads(line)
        text = json.dumps([row[name] for name in HASHED], ensure_ascii=False, separators=(",", ":"))
        assert (hashlib.sha256(text.encode()).hexdigest(), row["previous_sha256"]) == (
            row["sha256"],
            previous,
        )
        previous = row["sha256"]
    done = terminal("audit", "verify")
    assert f"animals={previous}\n3 events, 0 findings" in done.stderr
    terminal("policy", "set", "animals", "REVALIDATION_MIN_VOTES=3", "--actor", "ann", "--reason", "back")
    terminal("audit", "verify", "--head", f"animals={previous}")


def test_a_changed_event_ends_the_command_with_1_and_says_which(home: Terminal) -> None:
    home("datasets", "create", "animals")
    connection = sqlite3.connect(home.folder / "home" / "hiveguard.db")
    with connection:
        connection.execute("DROP TRIGGER audit_events_update")
        connection.execute("UPDATE audit_events SET reason = 'other' WHERE sequence = 2")
    connection.close()
    done = home("audit", "verify", "--fmt", "jsonl", code=1)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"chain": "animals", "sequence": 2, "what": "was changed: its hash is another"} in found
    assert "no head" in home.refused("audit", "verify", "--head", "animals=abc")
