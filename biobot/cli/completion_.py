"""`biobot completion`: what makes a shell complete."""

from __future__ import annotations

import click

from biobot.cli import Options


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that has SHELL complete commands and options, ids of posts, models and plugins.

    For bash put this line into ~/.bashrc: eval "$(biobot completion bash)"; for zsh the same into ~/.zshrc; for fish:
    biobot completion fish > ~/.config/fish/completions/biobot.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "biobot", "_BIOBOT_COMPLETE").source())


def _options(context: click.Context) -> Options:
    """Return what precedes the command on a line that is being completed: no command has run yet."""
    given = context.find_root().params
    if given.get("bot"):
        from biobot.config import SERVICES, STATES

        return Options(SERVICES / given["bot"] / "biobot.toml", STATES / given["bot"])
    return Options(given.get("file"), given.get("home"))


def posts(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the ids of posts: those that the command can act on, the newest first."""
    from biobot.app import health
    from biobot.posting.post import State

    wanted = {
        "approve": (State.HELD,),
        "reject": (State.HELD, State.APPROVED),
        "edit": (State.HELD, State.APPROVED),
        "undo": (State.POSTED, State.UNCONFIRMED),
        "reconcile": (State.UNCONFIRMED,),
    }.get(context.info_name or "", ())
    try:
        with health.open_outbox(_options(context).seen) as outbox:
            return [str(row.id) for row in outbox.posts(*wanted)[::-1] if str(row.id).startswith(begun)]
    except Exception:  # noqa: BLE001 - a shell that completes shows no errors
        return []


def models(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the ids of models."""
    from biobot.model.registry import Registry

    try:
        found = Registry(_options(context).seen.home).list()
    except Exception:  # noqa: BLE001 - a shell that completes shows no errors
        return []
    return [each.id for each in found if each.id.startswith(begun)]


def plugins(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the names of plugins."""
    from biobot.bundled import bundled

    try:
        folders = (bundled("plugins"), _options(context).seen.folder / "plugins")
        found = {each.stem for folder in folders for each in folder.glob("[!_]*.py")}
    except Exception:  # noqa: BLE001 - a shell that completes shows no errors
        return []
    return sorted(each for each in found if each.startswith(begun))
