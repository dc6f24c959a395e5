"""The `biobot` command: one file a command, each imported only when it is asked for."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from biobot import __version__
from biobot.config import Config, load
from biobot.errors import BiobotError

COMMANDS = {
    "init": "Write a bot's folder: biobot.toml, .env and plugins/.",
    "corpus": "Import, count, export and forget bios.",
    "collect": "Fetch fresh bios from X.",
    "train": "Train a model, judge it, and let it speak if it is better.",
    "eval": "Measure bits per byte on a file of bios.",
    "preview": "Print bios and what the filters make of them; post nothing.",
    "check": "Judge given texts as the filters would.",
    "tune": "Sweep temperatures and recommend some.",
    "run": "Run the daemon.",
    "post": "Post once, now.",
    "queue": "List what waits and what became of it.",
    "approve": "Let a held draft be posted.",
    "reject": "Drop a held draft.",
    "edit": "Change a draft's text; it is judged again.",
    "status": "Say how the bot is.",
    "why": "Tell a post's whole story.",
    "pause": "Stop posting until `resume`.",
    "resume": "Go on posting.",
    "undo": "Delete a post from the network.",
    "reconcile": "Settle posts whose fate is unknown.",
    "doctor": "Check the whole set-up, a line each with its mend.",
    "models": "List, show, choose and import models.",
    "plugins": "List, test and write filter plugins.",
    "web": "Open the console in a browser.",
    "rehearse": "Run the whole bot against the built-in fake X in fast time.",
}
"""Every command and its one line; the command itself is `command` in `biobot.cli.<name>_`."""


@dataclass
class Options:
    """What was given before the command."""

    file: Path | None = None
    home: Path | None = None
    verbose: bool = False

    @cached_property
    def config(self) -> Config:
        """Read the bot's config, on first use."""
        return load(self.file, self.home)


class Group(click.Group):
    """Lists its commands with the whole first sentence of each."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; what is long goes on in the next line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=1000)) for name, each in self.commands.items()])


class Commands(click.Group):
    """Lists every command without importing one, and turns a BiobotError into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a bot's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        command = import_module(f"biobot.cli.{name}_").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from COMMANDS."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run, and leave with 0, 1 or 2."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # F29: a console that is not UTF-8 prints what it can
                stream.reconfigure(errors="backslashreplace")
        extra["standalone_mode"] = False
        options = Options()
        try:
            result = super().main(*args, obj=options, **extra)
        except BiobotError as error:
            if options.verbose:
                traceback.print_exc()
            click.echo(f"biobot: {error}", err=True)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("biobot: stopped", err=True)
            sys.exit(130)
        except BrokenPipeError:
            # the reader has left (`biobot preview | head`): not an error, and nothing more can be said
            sys.stdout = None
            sys.exit(0)
        sys.exit(result if isinstance(result, int) else 0)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="biobot")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The bot's biobot.toml.")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Where the bot's state lies.")
@click.option("-v", "--verbose", is_flag=True, help="Say more, and show tracebacks.")
@click.pass_context
def main(context: click.Context, file: Path | None, home: Path | None, verbose: bool) -> None:
    """A bot that posts bios dreamt up by a byte-LSTM."""
    context.obj.file, context.obj.home, context.obj.verbose = file, home, verbose
