"""Writes the reference pages from the code: docs/commands.md and docs/settings.md, and with --man DIR a page a command.

`make reference` runs it; a test compares what it would write with what is there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click

from biobot.bundled import bundled
from biobot.cli import COMMANDS, main
from biobot.settings import Settings

HERE = Path(__file__).parent
NOTE = "<!-- written by docs/generate.py from the code; do not edit -->"


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield every command, with those of a group behind it: its words, itself, its context."""
    root = click.Context(main, info_name="biobot", terminal_width=100)
    for name in COMMANDS:
        command = main.get_command(root, name)
        if command is None:
            raise LookupError(name)
        context = click.Context(command, info_name=name, parent=root, terminal_width=100)
        yield f"biobot {name}", command, context
        if isinstance(command, click.Group):
            for inner, each in command.commands.items():
                yield (
                    f"biobot {name} {inner}",
                    each,
                    click.Context(each, info_name=inner, parent=context, terminal_width=100),
                )


def commands_page() -> str:
    """Return docs/commands.md."""
    root = click.Context(main, info_name="biobot", terminal_width=100)
    parts = [NOTE, "", "# Commands", "", "```text", main.get_help(root), "```", ""]
    for words, command, context in commands():
        parts += [
            f"{'###' if words.count(' ') > 1 else '##'} {words}",
            "",
            "```text",
            command.get_help(context),
            "```",
            "",
        ]
    return "\n".join(parts)


def settings_page() -> str:
    """Return docs/settings.md: every key with its default, what it does, and its bounds."""
    meanings, section, comment = {}, "", ""
    for line in (bundled("config") / "biobot.toml").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\[([\w.]+)\]", line):
            section = found[1]
        elif found := re.match(r"(\w+) = (.*?)\s+# (.*)$", line):
            meanings[section, found[1]] = comment = found[3]
        elif found := re.match(r"(\w+) = (.*)$", line):
            meanings[section, found[1]] = ""
        elif (found := re.match(r"\s+# (.*)$", line)) and comment:
            last = next(reversed(meanings))
            meanings[last] = f"{meanings[last]} {found[1]}"
    head = "Every key of biobot.toml with its default. `biobot init` writes the file, `config show` what is in effect."
    parts = [NOTE, "", "# Settings", "", head, ""]
    for name, values in _sections("", Settings()):
        parts += [f"## [{name}]", "", "| key | default | what it does |", "|---|---|---|"]
        for key in fields(values):
            if key.name == "tables" or is_dataclass(getattr(values, key.name)):
                continue
            rules = [
                f"{word} {key.metadata[rule]}"
                for rule, word in (("least", "at least"), ("most", "at most"))
                if rule in key.metadata
            ]
            meaning = "; ".join(filter(None, [meanings.get((name, key.name), ""), *rules])).replace("|", "\\|")
            parts.append(f"| `{key.name}` | `{_written(getattr(values, key.name))}` | {meaning} |")
        parts.append("")
    return "\n".join(parts)


def _sections(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    for key in fields(values):
        inner = getattr(values, key.name)
        if is_dataclass(inner):
            place = f"{name}.{key.name}".lstrip(".")
            yield place, inner
            yield from _sections(place, inner)


def _written(value: Any) -> str:
    from biobot.app.settings_text import written

    return "(none)" if value is None else written(value)


def man_page(words: str, command: click.Command, context: click.Context) -> str:
    """Return the page of a command as man reads it."""

    def safe(text: str) -> str:
        return "\n".join(
            f"\\&{line}" if line.startswith((".", "'")) else line for line in text.replace("\\", "\\e").splitlines()
        )

    short = command.get_short_help_str(limit=1000)
    parts = [f'.TH "{words.upper().replace(" ", "-")}" 1', ".SH NAME", f"{words.replace(' ', '-')} \\- {safe(short)}"]
    parts += [".SH SYNOPSIS", f".B {words}", safe(" ".join(command.collect_usage_pieces(context)))]
    parts += [".SH DESCRIPTION", safe((command.help or short).strip())]
    records = [each.get_help_record(context) for each in command.get_params(context)]
    parts += [".SH OPTIONS", *(f".TP\n.B {safe(name)}\n{safe(text)}" for name, text in filter(None, records))]
    return "\n".join(parts) + "\n"


def generate(folder: Path = HERE) -> None:
    """Write the reference pages."""
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--man"]:
        out = Path(sys.argv[2])
        out.mkdir(parents=True, exist_ok=True)
        root = click.Context(main, info_name="biobot")
        for words, command, context in [("biobot", main, root), *commands()]:
            (out / f"{words.replace(' ', '-')}.1").write_text(man_page(words, command, context), encoding="utf-8")
    else:
        generate()
