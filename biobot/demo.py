"""What `make demo` shows: the whole bot in half a minute, with no account, no network and nothing left behind.

Every step is the real program: `biobot preview` and `biobot run` as processes of their own, in a bot's folder
made for this run, posting over HTTP to the built-in fake X, which is also the judge of what was posted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from biobot.errors import BiobotError
from biobot.rehearsal.server import FakeX
from biobot.text.terminal import clean, colours, draft, legend

T = TypeVar("T")

SEED = "1192"

CONFIG = """
[sample]
temperatures = [0.6, 0.8]
best_of = 5
[schedule]
every = "2s"
jitter = "0s"
[post]
network = "x"
reconcile_after = ["4s", "8s", "16s"]
[x]
api_base = "{address}"
timeout = "5s"
"""

BOLD, FAINT, RED, GREEN, YELLOW, BLUE = "1", "2", "31", "32", "33", "34"

STEP_TIMEOUT = 60.0
"""Seconds that one step of the demo may take: many times what it needs on a small machine."""


def main() -> int:
    """Run the demo and return the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="biobot-demo-") as folder, FakeX(lambda: datetime.now(UTC)) as fake:
        demo = Demo(Path(folder), fake)
        try:
            demo.show_temperatures()
            refused = demo.show_filters()
            recovered = demo.show_posting()
        except BiobotError as error:
            say(f"demo: {error}")
            return 1
        posts = [post["text"] for post in fake.report()["posts"]]
    doubles = len(posts) - len(Counter(posts))
    say(f"\nThis took {time.monotonic() - began:.0f} s and left nothing behind.\n")
    say(f"demo: {len(posts)} posted, {refused} refused, {recovered} recovered, {doubles} doubles")
    say("  .venv/bin/biobot init mybot && cd mybot          # a bot of your own")
    say("  ../.venv/bin/biobot preview --temperature 0.8    # a few drafts")
    say(
        "  ../.venv/bin/biobot run                          # posts to the built-in fake X until you change biobot.toml"
    )
    return 1 if doubles else 0


@dataclass
class Demo:
    """A bot's folder, the fake X that it posts to, and how many of its posts were printed."""

    folder: Path
    fake: FakeX
    shown: int = 0

    def __post_init__(self) -> None:
        (self.folder / "biobot.toml").write_text(CONFIG.format(address=self.fake.address), encoding="utf-8")

    # -- the three acts -------------------------------------------------------------------------------

    def show_temperatures(self) -> None:
        """Print one bio at three temperatures, each byte tinted by how uncertain the model was of it."""
        title("One seed, three temperatures", "The warmer a letter's tint, the less certain the model was of it.")
        if colours(sys.stdout):
            say(f"  {legend()}")
        heat = ("--temperature", "0.2", "--temperature", "0.8", "--temperature", "1.2")
        for bio in self._lines("preview", "--per-byte", "--no-filters", *heat, "-n", "1", "--seed", SEED):
            show(bio, f"T {bio['temperature']:.1f} · {bio['bits_per_byte']:.2f} bits per byte", None)

    def show_filters(self) -> int:
        """Print candidates with the filters' verdicts, and return how many were refused."""
        title("The filters at work", "Nothing that any filter objects to is ever posted.")
        refused = 0
        for bio in self._lines("preview", "--per-byte", "--temperature", "0.8", "-n", "8", "--seed", SEED):
            objections = [f"{each['filter']}: {each['reason']}" for each in bio["objections"]]
            show(bio, f"T {bio['temperature']:.1f} · seed {bio['seed']}", objections)
            refused += not bio["accepted"]
        return refused

    def show_posting(self) -> int:
        """Run the daemon, break a connection at the worst moment, and return how many posts it found again."""
        title(
            "The daemon, posting every two seconds to the built-in fake X", "OAuth, rate limits and duplicates as on X."
        )
        daemon = self._start("run", stdout=subprocess.DEVNULL)
        try:
            self._watch(daemon, lambda: len(self._timeline()) >= 3)
            self.fake.fault("reset-after")
            remark("X now accepts a post, but the connection dies before its answer arrives.", YELLOW)
            lost = self._watch(daemon, lambda: self._ids("unconfirmed"))
            remark("The bot cannot know: the post is `unconfirmed`, and only the timeline can settle it.", YELLOW)
            self._watch(daemon, lambda: set(lost) <= set(self._ids("posted")))
            remark("Found on the timeline: it is `posted`, once.", GREEN)
            return len(lost)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=STEP_TIMEOUT)

    # -- the bot, through its commands ------------------------------------------------------------------

    def _watch(self, daemon: subprocess.Popen[str], done: Callable[[], T]) -> T:
        """Print the timeline as it grows until `done` returns something true, and return that."""
        deadline = time.monotonic() + STEP_TIMEOUT
        while True:
            found = done()
            for text in self._timeline()[self.shown :]:
                folded = textwrap.fill(clean(text), 96, subsequent_indent="    ")
                say(f"  {paint('@rehearsal', BLUE)} {folded}")
                self.shown += 1
            if found:
                return found
            if daemon.poll() is not None:
                raise BiobotError(f"the daemon ended early: {(daemon.communicate()[1] or '').strip()}")
            if time.monotonic() > deadline:
                raise BiobotError("the daemon took too long; try again when this machine is less busy")
            time.sleep(0.2)

    def _timeline(self) -> list[str]:
        return [post["text"] for post in reversed(self.fake.report()["posts"])]

    def _ids(self, state: str) -> list[int]:
        return [row["id"] for row in self._lines("queue", "list", "--state", state)]

    def _lines(self, *arguments: str) -> Iterator[dict[str, Any]]:
        """Run a command with --json and yield its objects as they come."""
        with self._start(*arguments, "--json", stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
            errors = process.stderr.read().strip() if process.stderr else ""
        if process.returncode:
            raise BiobotError(errors or f"`biobot {arguments[0]}` ended with exit code {process.returncode}")

    def _start(self, *arguments: str, stdout: int) -> subprocess.Popen[str]:
        keys = {f"BIOBOT_X_{each.name.upper()}": getattr(self.fake.keys, each.name) for each in fields(self.fake.keys)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BIOBOT_")}
        return subprocess.Popen(
            [sys.executable, "-m", "biobot", "--config", str(self.folder / "biobot.toml"), *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**inherited, **keys, "BIOBOT_HOME": str(self.folder / "state"), "PYTHONIOENCODING": "utf-8"},
        )


# -- output -------------------------------------------------------------------------------------------


def say(line: str) -> None:
    """Print a line and flush it."""
    print(line, flush=True)  # noqa: T201


def title(what: str, why: str) -> None:
    """Print a heading and the sentence under it."""
    say(f"\n{paint(what, BOLD)}\n{paint(why, FAINT)}\n")


def remark(what: str, code: str) -> None:
    """Print what happens behind the scenes."""
    say(paint(f"  {what}", code))


def show(bio: dict[str, Any], label: str, objections: list[str] | None) -> None:
    """Print a bio as `biobot preview` does."""
    entropies = [each["entropy"] for each in bio["bytes"]]
    say(draft(bio["text"], entropies, label, objections, colour=colours(sys.stdout)))


def paint(text: str, code: str) -> str:
    """Return `text` in colour, by an ANSI SGR code, where standard output is a terminal that shows colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if colours(sys.stdout) else text


if __name__ == "__main__":
    sys.exit(main())
