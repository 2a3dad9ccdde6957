"""`hiveguard users`: the password from stdin, and nowhere else."""

import subprocess

from tests.cli.conftest import HIVEGUARD, Terminal

PASSWORD = "correct horse battery"


def given(home: Terminal, *words: str, password: str = PASSWORD, code: int = 0) -> str:
    done = subprocess.run(
        [HIVEGUARD, "users", *words],
        input=password + "\n",
        env=home.environment,
        cwd=home.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_users_are_made_changed_and_disabled(home: Terminal) -> None:
    assert "ada is admin" in given(home, "create", "Ada", "--role", "admin")
    assert "ben is viewer" in given(home, "create", "ben")
    assert "a password has 10" in given(home, "create", "eve", password="short", code=1)
    assert "a password has 10" in given(home, "create", "eve", password="", code=1)
    home("users", "role", "ben", "reviewer")
    given(home, "password", "ben", password="another " + PASSWORD)
    home("users", "disable", "ben")
    assert "only admin" in home("users", "disable", "ada", code=1).stderr
    rows = home.rows("users", "list")
    assert [(row["name"], row["role"], row["disabled_at"] is None) for row in rows] == [
        ("ada", "admin", True),
        ("ben", "reviewer", False),
    ]
    home("users", "disable", "ben", "--undo")
    assert home.rows("users", "list")[1]["disabled_at"] is None


def test_no_option_takes_a_password(home: Terminal) -> None:
    home("users", "create", "ada", "--password", PASSWORD, code=2)
    home("users", "create", "ada", PASSWORD, code=2)
    home("users", "role", "ada", "owner", code=2)
