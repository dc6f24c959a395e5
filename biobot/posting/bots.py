"""One bot on several networks: a `Bot` for each, which share drafts and are driven as one.

Each has its own rows, budget, waits, blocks and breaker, so that one network that is down keeps no post from another:
what it costs them is the time that a call to it takes, at most its `timeout`, now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from biobot.config import Config
from biobot.posting.bot import Bot, Drafter
from biobot.posting.notices import Notices
from biobot.posting.outbox import Outbox
from biobot.posting.poster import Poster


class Bots:
    """The bots of all networks that are posted to, in the order of `post.networks`."""

    def __init__(
        self,
        config: Config,
        posters: Sequence[Poster],
        drafter: Drafter,
        before: Bots | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a bot for each poster; `before` are those with other settings whose place they take.

        `alive` is called after each bot's step, which may take long where a network hangs.
        """
        known: dict[str, Bot] = {bot.outbox.network: bot for bot in before.bots} if before else {}
        self.config = config
        self._alive = alive
        self.bots: list[Bot] = [Bot(config, poster, drafter, known.get(poster.outbox.network)) for poster in posters]

    def step(self, now: datetime) -> datetime:
        """Step each bot; return the moment at which there may be more to do. Raises Replaced, as `Bot.step`."""
        following = []
        for bot in self.bots:
            following.append(bot.step(now))
            self._alive()
        return min(following)

    @property
    def outbox(self) -> Outbox:
        """The outbox of the first network."""
        return self.bots[0].outbox

    @property
    def notices(self) -> Notices:
        """What is reported of the bot as a whole."""
        return self.bots[0].notices
