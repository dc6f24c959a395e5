"""One bot on several networks: a `Bot` for each, which share drafts and are driven as one.

Each has its own rows, budget, waits, blocks and breaker, and several step at once, each in a thread with an outbox of
its own: one network that is down, or hangs, keeps no post from another, and delays none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from biobot.config import Config
from biobot.posting.bot import RETRY, Bot, Drafter
from biobot.posting.notices import Notices
from biobot.posting.outbox import Outbox
from biobot.posting.poster import Poster

PATIENCE = timedelta(seconds=1)
"""So long a network's step is waited for; one that takes longer goes on by itself, and the next begins when it ends."""

STUCK = timedelta(minutes=15)
"""A step that takes longer will not end by itself: systemd's watchdog is no longer told that all is well."""


class Bots:
    """The bots of all networks that are posted to, in the order of `post.networks`."""

    def __init__(
        self,
        config: Config,
        posters: Sequence[Poster],
        drafter: Drafter,
        before: Bots | None = None,
        alive: Callable[[], None] = lambda: None,
        woken: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a bot for each poster; `before` are those with other settings whose place they take.

        `alive` is called while all is well, and `woken` when a step has ended that was not waited for. With a drafter
        without threads (in fast time) the bots step one after another.
        """
        known: dict[str, Bot] = {bot.outbox.network: bot for bot in before.bots} if before else {}
        self.config = config
        self._alive, self._woken = alive, woken
        self._drafter = drafter
        self.bots: list[Bot] = [Bot(config, poster, drafter, known.get(poster.outbox.network)) for poster in posters]
        self._threads = ThreadPoolExecutor(len(posters), "network") if drafter.threaded and len(posters) > 1 else None
        self._steps: dict[Bot, tuple[datetime, Future[datetime]]] = {}
        first = self.bots[0]
        self.outbox: Outbox = Outbox(first.outbox.path, first.outbox.network) if self._threads else first.outbox
        """The outbox of the first network."""
        self.notices: Notices = Notices(config, self.outbox) if self._threads else first.notices
        """What is reported of the bot as a whole."""

    def step(self, now: datetime) -> datetime:
        """Step each bot; return the moment at which there may be more to do. Raises Replaced, as `Bot.step`."""
        following = self._step_at_once(self._threads, now) if self._threads else [bot.step(now) for bot in self.bots]
        if all(abs(now - begun) < STUCK for begun, _ in self._steps.values()):
            self._alive()
        return min(following, default=now + RETRY)

    def _step_at_once(self, threads: ThreadPoolExecutor, now: datetime) -> list[datetime]:
        """Step those bots that are not in a step, and return what those said that were done in time."""
        begun = {bot: (now, threads.submit(bot.step, now)) for bot in self.bots if bot not in self._steps}
        wait([step for _, step in begun.values()], PATIENCE.total_seconds())
        self._steps |= begun
        following = []
        for bot, (_, step) in list(self._steps.items()):
            if step.done():
                del self._steps[bot]
                following.append(step.result())
            else:
                self._drafter.hand_over(bot.outbox.network)
                step.add_done_callback(lambda _: self._woken())
        return following

    def close(self) -> None:
        """Wait for the steps that are under way; what they were opened with can be closed then."""
        if self._threads:
            while wait([step for _, step in self._steps.values()], PATIENCE.total_seconds()).not_done:
                self._alive()
            self._threads.shutdown()
            self.outbox.close()
