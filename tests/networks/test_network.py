"""The networks behind one hook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.config import Config, load
from biobot.errors import PluginError, SecretsError
from biobot.networks.opening import open_network
from biobot.networks.stdout import Stdout
from biobot.networks.x.client import XClient
from biobot.rehearsal.network import Rehearsal
from biobot.testing import try_network

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
Bot = Callable[[str], Path]


def config_for(bot: Bot, network: str) -> Config:
    bot(f'[post]\nnetwork = "{network}"\n')
    return load(environ={})


def test_the_rehearsals_timeline_outlives_the_process_that_wrote_it(bot: Bot) -> None:
    config = config_for(bot, "rehearsal")
    first = open_network(config, lambda: NOW)
    id = first.post("hello")  # noqa: A001
    second = open_network(config, lambda: NOW)
    assert [tweet.id for tweet in second.timeline(NOW - timedelta(minutes=2))] == [id]
    first.close()
    second.close()
    third = open_network(config, lambda: NOW)
    third.delete(id)
    assert third.timeline(NOW - timedelta(minutes=2)) == []
    third.close()
    assert (config.home / "rehearsal.db").is_file()


def test_the_rehearsal_needs_no_secret(bot: Bot) -> None:
    network = open_network(config_for(bot, "rehearsal"), lambda: NOW)
    assert isinstance(network, Rehearsal)
    network.post("hello")
    assert [tweet.text for tweet in network.timeline(NOW - timedelta(minutes=2))] == ["hello"]
    network.close()


def test_the_rehearsal_keeps_what_the_bot_relies_on(bot: Bot) -> None:
    network = open_network(config_for(bot, "rehearsal"), lambda: datetime.now(UTC))
    try_network(network)
    network.close()


def test_x_is_reached_at_the_base_that_the_config_names_with_the_secrets_beside_it(bot: Bot) -> None:
    from biobot.rehearsal.server import KEYS, FakeX

    with FakeX(lambda: NOW) as fake:
        folder = bot(f'[post]\nnetwork = "x"\n[x]\napi_base = "{fake.address}"\n')
        names = ("api_key", "api_secret", "access_token", "access_secret")
        lines = [f"BIOBOT_X_{name.upper()}={getattr(KEYS, name)}\n" for name in names]
        (folder / ".env").write_text("".join(lines))
        (folder / ".env").chmod(0o600)
        network = open_network(load(environ={}), lambda: NOW)
        assert type(network) is XClient
        network.post("hello")
        network.close()
        assert fake.state.tally("posts") == 1


def test_f40_x_does_not_open_with_secrets_that_others_can_read(bot: Bot) -> None:
    config = config_for(bot, "x")
    (config.folder / ".env").write_text("BIOBOT_X_API_KEY=x\n")
    (config.folder / ".env").chmod(0o644)
    with pytest.raises(SecretsError, match="chmod 600"):
        open_network(config, lambda: NOW)


def test_stdout_prints(bot: Bot, capsys: Any) -> None:
    network = open_network(config_for(bot, "stdout"), lambda: NOW)
    assert isinstance(network, Stdout)
    assert [network.post("one 🌻"), network.post("two")] == ["1", "2"]
    network.delete("1")
    assert network.timeline(NOW) == []
    assert network.me().handle == "stdout"
    network.close()
    assert capsys.readouterr().out == "one 🌻\ntwo\n"


def test_every_network_has_a_name_and_all_that_the_protocol_asks_for(bot: Bot) -> None:
    for name in ("rehearsal", "x", "stdout"):
        network = open_network(config_for(bot, name), lambda: NOW)
        assert network.name == name
        network.close()


NETWORK = """
from biobot import Account, Network, hookimpl

class Diary(Network):
    name = "{name}"
    def __init__(self, opening): self.opening = opening
    def me(self): return Account("1", "me")
    def post(self, request, key=""): return "1"
    def timeline(self, since, limit=20): return []
    def delete(self, id): pass

@hookimpl
def biobot_network():
    return Diary
"""


def test_only_the_plugin_that_is_posted_to_is_loaded(bot: Bot) -> None:
    folder = bot('[post]\nnetwork = "diary"\n')
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "diary.py").write_text(NETWORK.format(name="diary"))
    (folder / "plugins" / "other.py").write_text("raise SystemExit('nobody asked for this plugin')")
    network = open_network(load(environ={}), lambda: NOW)
    assert network.me().handle == "me"
    assert network.objection("x" * 501) == "too long for diary: 501 of 500 characters"
    assert network.key_lasts is None


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (NETWORK.format(name="dairy"), "the name of its network must be 'diary'"),
        ("from biobot import hookimpl\n@hookimpl\ndef biobot_network():\n    return 7\n", "a subclass of Network"),
        (
            "from biobot import hookimpl\n@hookimpl\ndef biobot_filter(candidate):\n    return None\n",
            "a subclass of Net",
        ),
    ],
)
def test_a_plugin_that_is_no_network_is_an_error_that_says_so(bot: Bot, code: str, says: str) -> None:
    folder = bot('[post]\nnetwork = "diary"\n')
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "diary.py").write_text(code)
    with pytest.raises(PluginError, match=says):
        open_network(load(environ={}), lambda: NOW)
