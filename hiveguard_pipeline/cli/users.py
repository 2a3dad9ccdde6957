"""`hiveguard users`."""

import getpass
import sys

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, say

_COLUMNS = ["name", "role", "created_at", "disabled_at"]
_roles = click.Choice(["viewer", "reviewer", "admin"])


@click.group()
def users() -> None:
    """Who signs in to the dashboard, and what they may do.

    viewer looks, reviewer decides on items too, admin keeps users and keys and reads the audit too. A
    password is asked for, or read from stdin: `hiveguard users create ada --role admin < password-file`.
    """


@users.command()
@click.argument("name")
@click.option("--role", type=_roles, default="viewer", show_default=True)
@click.option("--actor", metavar="A", help="Who makes the user; by default who runs the command.")
def create(name: str, role: str, actor: str | None) -> None:
    """Make a user; the password is asked for, or read from stdin."""
    from hiveguard_pipeline.web.users import create_user

    database = open_store()
    made = create_user(database, name, role, _password(), actor=actor or _somebody())
    say(f"{made.name} is {made.role}; `hiveguard serve` has the page to sign in")


@users.command("list")
@fmt_option
def list_(fmt: str) -> None:
    """List the users."""
    from hiveguard_pipeline.web.users import list_users

    with open_store().read() as connection:
        rows = [{name: getattr(user, name) for name in _COLUMNS} for user in list_users(connection)]
    emit(rows, _COLUMNS, fmt)


@users.command()
@click.argument("name")
@click.argument("role", type=_roles)
@click.option("--actor", metavar="A", help="Who changes it; by default who runs the command.")
def role(name: str, role: str, actor: str | None) -> None:
    """Give a user another role, at once."""
    from hiveguard_pipeline.web.users import set_role

    changed = set_role(open_store(), name, role, actor=actor or _somebody())
    say(f"{changed.name} is {changed.role}")


@users.command()
@click.argument("name")
@click.option("--actor", metavar="A", help="Who changes it; by default who runs the command.")
def password(name: str, actor: str | None) -> None:
    """Give a user another password, and end his sessions."""
    from hiveguard_pipeline.web.users import set_password

    changed = set_password(open_store(), name, _password(), actor=actor or _somebody())
    say(f"{changed.name} has another password; his sessions are over")


@users.command()
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let a disabled user sign in again.")
@click.option("--actor", metavar="A", help="Who changes it; by default who runs the command.")
def disable(name: str, undo: bool, actor: str | None) -> None:
    """Keep a user from signing in, and end his sessions; what he decided stands."""
    from hiveguard_pipeline.web.users import disable_user, enable_user

    change = enable_user if undo else disable_user
    changed = change(open_store(), name, actor=actor or _somebody())
    say(f"{changed.name} can sign in" if undo else f"{changed.name} is disabled; his sessions are over")


def _password() -> str:
    """From a prompt where there is a terminal, else the first line of stdin; never from the arguments."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _somebody() -> str:
    """Who runs the command, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command line"
