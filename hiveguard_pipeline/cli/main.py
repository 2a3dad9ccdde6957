"""The command itself: its commands by name, and what becomes of an error."""

import importlib
import os
import sys
from typing import Any

import click

from hiveguard_pipeline import __version__
from hiveguard_pipeline.errors import HiveGuardError

COMMANDS = {
    "init": ("start", "Create home, database, and the dataset that a config describes."),
    "datasets": ("datasets", "Create, list, show and export datasets."),
    "items": ("items", "Import items."),
    "votes": ("votes", "Import and export votes; show what was refused."),
    "annotations": ("annotations", "Import annotations of training formats and of Label Studio."),
    "classes": ("classes", "Show and change a dataset's classes; labels and answers follow."),
    "policy": ("policy", "Show and change a dataset's policy; try another on its votes."),
    "run": ("run", "Materialise the label assets through Dagster."),
    "labels": ("labels", "Export labels; correct one."),
    "snapshots": ("snapshots", "Versions of labels: make, compare, verify, export, watch for drift."),
    "pool": ("pool", "Draw the items to serve next."),
    "review": ("review", "The review queue, and decisions on it."),
    "workflow": ("workflow", "The stages of a dataset: who answers, and where items go."),
    "tasks": ("tasks", "Items that people are asked about: take, answer, give back."),
    "people": ("people", "The annotators and experts of datasets."),
    "label-studio": ("label_studio", "Send items to Label Studio, and take what people answer there."),
    "quality": ("quality", "Agreement, solvers, probabilities: what votes say of labels and people."),
    "solvers": ("solvers", "Take solvers' votes out of a dataset, and put them back."),
    "active": ("active", "Active learning: what to ask next, models, proposals."),
    "forecast": ("forecast", "Votes and days until labels are ready."),
    "convert": ("convert", "Convert annotations between training formats."),
    "users": ("users", "Who signs in to the dashboard, and what they may do."),
    "explain": ("audit", "Every vote and batch that made a label."),
    "verify": ("audit", "Replay the ledger: re-derive every label from its votes."),
    "audit": ("audit_events", "Who did what, when and why: list, export and verify the events."),
    "recount": ("recount", "Recount all votes from the first one on, here or on Spark."),
    "serve": ("serve", "Serve the API and the dashboard."),
    "keys": ("keys", "Keys of the API: make, list, revoke."),
    "demo": ("demo", "A simulated crowd, end to end."),
}
"""Command -> its module and one line of help; the modules are imported only when used."""


class Commands(click.Group):
    """A group that knows its commands without importing them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a reader of its output that leaves early, as `head` does, ends it quietly."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hiveguard_pipeline.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hiveguard")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def hiveguard(debug: bool) -> None:
    """Turn crowd votes into labels that a training job can trust."""
    if debug:
        os.environ["HIVEGUARD_DEBUG"] = "1"


def main() -> None:
    """Run the command and end the process as the design says."""
    try:
        code = hiveguard.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("hiveguard: stopped", file=sys.stderr)  # noqa: T201
        code = 130
    except Exception as error:
        if os.environ.get("HIVEGUARD_DEBUG"):
            raise
        known = isinstance(error, HiveGuardError)
        hint = "" if known else f" ({type(error).__name__}; `hiveguard --debug ...` shows where)"
        said = " ".join(_without_secrets(str(error)).split())
        print(f"hiveguard: {said}{hint}", file=sys.stderr)  # noqa: T201
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _without_secrets(text: str) -> str:
    from hiveguard_pipeline.settings import Settings
    from hiveguard_pipeline.store.database import Database

    try:
        database: Any = Database(Settings.from_environment().database_url)
    except HiveGuardError:
        return text
    return str(database.without_secrets(text))
