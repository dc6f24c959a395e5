"""`biobot config`: the settings that hold."""

from __future__ import annotations

from pathlib import Path

import click

from biobot.cli import Group, Options


@click.group(cls=Group)
def command() -> None:
    """Show the settings that hold, or check a biobot.toml."""


@command.command()
@click.argument("section", required=False)
@click.option("--changed", is_flag=True, help="Only the keys that differ from their defaults.")
@click.pass_obj
def show(options: Options, section: str | None, changed: bool) -> None:
    """Print every key as it holds, with those at their defaults as comments, as TOML.

    SECTION is a section such as post, or one key such as post.network.
    """
    from biobot.app import running, settings_text

    config = running.current(options.usable)
    lines = list(settings_text.lines(config.settings, section, changed=changed))
    if not lines and section and "." in section:
        above, _, key = section.rpartition(".")
        kept = settings_text.lines(config.settings, above, changed=changed)
        lines = [each for each in kept if each.removeprefix("# ").startswith(f"{key} = ")]
    if not lines:
        raise click.UsageError(f"there is no section or key {section}" if section else "every key has its default")
    click.echo("\n".join(lines))


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def check(options: Options, file: Path | None) -> None:
    """Check biobot.toml, the plugins and their keys as `run` would; the daemon goes on with what it has."""
    from biobot.config import load
    from biobot.worker.client import Worker

    config = load(file, options.home) if file else options.config
    plugins = Worker(config).check_plugins()
    click.echo(f"{config.file or 'no biobot.toml: all defaults'}: fine, with {len(plugins)} plugins")
