"""The `biobot` command: one file per command, each imported only when it is used."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import click

from biobot import __version__
from biobot.config import SERVICES, STATES, Config, find, load
from biobot.errors import BiobotError, ConfigError
from biobot.text.humanize import show_times_in
from biobot.text.terminal import Harmless

COMMANDS = {
    "init": "Create a bot's folder: biobot.toml, .env and plugins/.",
    "corpus": "Import, count, export and forget bios.",
    "collect": "Fetch fresh bios from X.",
    "train": "Train a model, evaluate it, and make it active if it is good enough.",
    "eval": "Measure bits per byte on a file of bios.",
    "preview": "Print sample bios with the filters' objections; post nothing.",
    "check": "Run the filters on given texts.",
    "rate": "Mark drafts from 0 to 3; the bot learns your taste.",
    "taste": "Show, learn, import and export your taste.",
    "audit": "Measure what a model has memorised of its training bios.",
    "tune": "Sweep temperatures and recommend some.",
    "run": "Run the daemon.",
    "reload": "Have the daemon read biobot.toml again, now.",
    "post": "Make one post now.",
    "queue": "List the posts in the outbox, in every state.",
    "approve": "Approve held drafts for posting.",
    "reject": "Reject drafts.",
    "edit": "Change a draft's text; the filters judge it again.",
    "timeline": "Show what was posted, newest first.",
    "status": "Show the bot's health and its next slot.",
    "stats": "Read likes, reposts and replies of the bot's own posts.",
    "why": "Show a post's whole history.",
    "pause": "Stop posting until `resume`.",
    "resume": "Resume posting.",
    "undo": "Delete a post from the network.",
    "reconcile": "Settle posts whose fate is unknown.",
    "networks": "List and check the networks that posts can go to.",
    "backup": "Write all of a bot to one file.",
    "restore": "Put a bot back from the file that `backup` wrote.",
    "config": "Show the settings that hold, or check a biobot.toml.",
    "doctor": "Check the whole set-up and suggest fixes.",
    "models": "List, show, choose and import models.",
    "plugins": "List, test and create filter plugins.",
    "service": "Set up a bot that systemd runs.",
    "web": "Serve the console to a browser on this machine.",
    "rehearse": "Run the whole bot against the built-in fake X, in simulated time.",
    "completion": "Print what makes a shell complete commands, ids, models and plugins.",
}
"""Every command and its line in `biobot --help`; the command itself is `command` in `biobot.cli.<name>_`."""


@dataclass
class Options:
    """The options that precede the command."""

    file: Path | None = None
    home: Path | None = None
    verbose: bool = False

    @cached_property
    def config(self) -> Config:
        """Read the bot's config, on first use, and become the owner of a service's state."""
        return self._entered(self.seen)

    def _entered(self, config: Config) -> Config:
        if config.home.parent == STATES:
            from biobot.app import service

            service.enter(config)
        return config

    @cached_property
    def seen(self) -> Config:
        """Read the bot's config only, on first use; from now on times are shown in its zone."""
        config = load(self.file, self.home)
        show_times_in(partial(_zone, config))
        return config

    @cached_property
    def usable(self) -> Config:
        """Read the config, or where its file is broken what the daemon last ran with: `pause` must always work."""
        from biobot.app import running

        try:
            return self.config
        except ConfigError:
            found = running.noted(self._entered(find(self.file, self.home)))
            if found is None:
                raise
            return found

    def announce(self) -> None:
        """Print the bot, its folder and its network: which bot a command is about to change."""
        from biobot.app.running import name

        try:
            config = self.seen
        except ConfigError:
            config = self.usable
        click.echo(name(config), err="stdout" in config.settings.post.all)  # there only the posts go


def _zone(config: Config) -> tzinfo:
    from biobot.posting.schedule import zone

    return zone(config.settings.schedule)


class Changing(click.Command):
    """A command that changes something: its first line is the bot that it changes, but where JSON is wanted."""

    def invoke(self, ctx: click.Context) -> Any:
        """Announce the bot, and run."""
        if not ctx.params.get("as_json"):
            ctx.obj.announce()
        return super().invoke(ctx)


class Suggesting(click.Group):
    """A group that has a guess at what a misspelt command was meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words begin with; a misspelt one is an error that names the nearest."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=2, cutoff=0.6)
            hint = (
                f"did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else "`--help` lists the commands"
            )
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


class Group(Suggesting):
    """A group that lists when it is called bare, and whose help shows the whole first sentence of each command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words of the command line; none, or only options of `list`, stand for `list`."""
        if "list" in self.commands and (not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; long sentences wrap."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=1000)) for name, each in self.commands.items()])


class Commands(Suggesting):
    """All commands, listed without importing any; a BiobotError becomes one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a bot's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command; None if there is no such command."""
        if name not in COMMANDS:
            return None
        command = import_module(f"biobot.cli.{name}_").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from COMMANDS."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; when the reader has gone (`biobot preview | head`), end with 0, where click would with 1."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop(sys.stdout)
            return 0
        return result

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run, and exit with 0, 1 or 2; 130 after Ctrl-C."""
        streams = sys.stdout, sys.stderr
        for stream in streams:
            if hasattr(stream, "reconfigure"):  # F29: a terminal that is not UTF-8 shows what it can
                stream.reconfigure(errors="backslashreplace")
        sys.stdout, sys.stderr = (cast(TextIO, Harmless(each)) for each in streams)
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
        except OSError as error:  # `biobot status > /dev/full`, and whatever no command has foreseen
            if options.verbose:
                traceback.print_exc()
            _drop(streams[0])
            click.echo(f"biobot: {error.filename or 'the output'} cannot be used: {error.strerror or error}", err=True)
            sys.exit(1)
        except (KeyboardInterrupt, click.Abort):
            click.echo("biobot: stopped", err=True)
            sys.exit(130)
        except Exception:  # noqa: BLE001 - a fault of ours: shown whole, by the stream that hides secrets
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stdout, sys.stderr = streams
        sys.exit(result if isinstance(result, int) else 0)


def _drop(stream: TextIO) -> None:
    """Drop what a stream that cannot be written still holds: it would be written at exit."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version of the build that is installed, else that of the source."""
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("biobot-lstm")
        except PackageNotFoundError:
            found = __version__
        click.echo(f"biobot, version {found}")
        context.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="The version.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The bot's biobot.toml.")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The folder of the bot's state.")
@click.option("--bot", metavar="NAME", help="The bot that systemd runs as biobot@NAME; its config and its state.")
@click.option("-v", "--verbose", is_flag=True, help="Print more, tracebacks included.")
@click.pass_context
def main(context: click.Context, file: Path | None, home: Path | None, bot: str | None, verbose: bool) -> None:
    """A bot that posts bios invented by a byte-LSTM."""
    if bot is not None:
        if file or home or not bot or "/" in bot:
            raise click.UsageError("--bot takes the name of a service, and stands for --config and --home")
        file, home = SERVICES / bot / "biobot.toml", STATES / bot
    context.obj.file, context.obj.home, context.obj.verbose = file, home, verbose
