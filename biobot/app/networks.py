"""Opens the network that posts go to: the one place that knows all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from biobot.config import Config
from biobot.networks.network import Network
from biobot.storage import make_folder


def open_network(config: Config, clock: Callable[[], datetime], stop: threading.Event | None = None) -> Network:
    """Open the network that `post.network` names.

    `clock` dates signatures, and is the fake X's time; `stop` is set when the process shall end. Raises SecretsError
    when X's keys lie where others can read them; missing ones are noticed at the first call.
    """
    settings = config.settings
    match settings.post.network:
        case "x":
            from biobot.networks.secrets import load
            from biobot.networks.x.client import XClient

            return XClient(load(config), settings.x.api_base, settings.x.timeout, clock, stop)
        case "stdout":
            from biobot.networks.stdout import Stdout

            return Stdout()
        case "rehearsal":
            from biobot.rehearsal.network import Rehearsal
            from biobot.rehearsal.server import FakeX

            make_folder(config.home)
            fake = FakeX(clock, config.home / "rehearsal.db")
            return Rehearsal(fake, settings.x.timeout, stop)
