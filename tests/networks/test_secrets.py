"""Secrets: found in three places, refused when others can read them (F40), never shown (F39)."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from biobot.config import SERVICES, Config
from biobot.errors import SecretsError
from biobot.networks.errors import Refused
from biobot.networks.secrets import POSTING, Secrets, load, require
from biobot.networks.x.client import XClient
from biobot.rehearsal.server import FakeX
from biobot.settings import Settings

NAMES = [f"BIOBOT_X_{each.name.upper()}" for each in fields(Secrets)]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(Settings(), tmp_path / "biobot.toml", tmp_path, tmp_path / "state")


def write(folder: Path, text: str, mode: int = 0o600) -> None:
    (folder / ".env").write_text(text, encoding="utf-8")
    (folder / ".env").chmod(mode)


def test_each_secret_comes_from_the_first_place_that_has_it(config: Config, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "BIOBOT_X_API_KEY").write_text("from-credentials-1\n")
    (credentials / "biobot_x_access_token").write_text("from-credentials-3\n")
    (credentials / "biobot_x_access_secret").write_text("from-credentials-4\n")
    write(
        config.folder, "BIOBOT_X_API_KEY='from-dotenv-1'\nexport BIOBOT_X_API_SECRET=a$b${c}\nBIOBOT_X_ACCESS_TOKEN=\n"
    )
    found = load(config, {"BIOBOT_X_API_KEY": "from-env-1", "CREDENTIALS_DIRECTORY": str(credentials)})
    assert found == Secrets("from-env-1", "a$b${c}", "from-credentials-3", "from-credentials-4", "")


@pytest.mark.parametrize("prefix", ["", "biobot_"])
def test_a_services_keys_are_files_that_systemd_may_give_a_prefix(config: Config, tmp_path: Path, prefix: str) -> None:
    for name in POSTING:
        (tmp_path / f"{prefix}{name}").write_text(f"a-{name}\n")
    found = load(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.missing(*POSTING) == []
    assert found.api_key == "a-api_key"


def test_without_any_there_are_none_and_the_first_call_names_what_is_missing(config: Config) -> None:
    found = load(config, {})
    assert found.values() == []
    with pytest.raises(
        SecretsError, match=r"BIOBOT_X_API_KEY, .*BIOBOT_X_ACCESS_SECRET are missing: put them into \.env"
    ):
        found.require(*POSTING)


def test_of_a_service_the_file_of_each_missing_key_is_named(config: Config) -> None:
    service = replace(config, folder=SERVICES / "mybot")
    missing = {"BIOBOT_BLUESKY_HANDLE": "a.example", "BIOBOT_BLUESKY_APP_PASSWORD": "", "BIOBOT_X_API_KEY": ""}
    with pytest.raises(SecretsError) as caught:
        require(missing, service.keys)
    assert (
        "put them into /etc/biobot/mybot/credentials, each into a file of its own "
        "(BIOBOT_BLUESKY_APP_PASSWORD in bluesky_app_password, BIOBOT_X_API_KEY in api_key)" in str(caught.value)
    )


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o610])
def test_f40_a_dotenv_that_others_can_read_is_refused_with_the_mend(config: Config, mode: int) -> None:
    write(config.folder, "BIOBOT_X_API_KEY=not-to-be-shown\n", mode)
    with pytest.raises(SecretsError, match=r"\.env can be read by others; .*: chmod 600 .*/\.env$") as caught:
        load(config, dict.fromkeys(NAMES, "given-otherwise"))
    assert "not-to-be-shown" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_f40_a_dotenv_of_ones_own_is_read(config: Config, mode: int) -> None:
    write(config.folder, "BIOBOT_X_API_KEY=mine-alone\n", mode)
    assert load(config, {}).api_key == "mine-alone"


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "“quoted”", "käse", "nul\0byte"])
def test_a_value_that_no_secret_looks_like_is_refused_without_showing_it(config: Config, value: str) -> None:
    with pytest.raises(SecretsError, match="BIOBOT_X_BEARER_TOKEN holds a blank or a character") as caught:
        load(config, {"BIOBOT_X_BEARER_TOKEN": value})
    assert value not in str(caught.value)


def test_a_dotenv_that_is_no_text_is_one_line(config: Config) -> None:
    (config.folder / ".env").write_bytes(b"\xff\xfe")
    (config.folder / ".env").chmod(0o600)
    with pytest.raises(SecretsError, match="cannot read"):
        load(config, {})


MINE = Secrets(
    api_key="kEy0123456789",
    api_secret="sEcReT/with+odd=characters",
    access_token="12345-tOkEn0123456789",
    access_secret="aCcEsS-sEcReT~0123456789",
    bearer_token="AAAA%2FbEaReR%3D0123456789",
)


@pytest.fixture
def every_logger_at_debug() -> Iterator[io.StringIO]:
    """All loggers that there are at DEBUG, with a handler each, printing all they are given."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s %(pathname)s"))
    names = [
        None,
        *logging.root.manager.loggerDict,
        "tweepy.client",
        "oauthlib.oauth1.rfc5849",
        "urllib3.connectionpool",
    ]
    loggers = [logging.getLogger(name) for name in names]
    before = [(each, each.level) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.addHandler(handler)
    yield stream
    for each, level in before:
        each.setLevel(level)
        each.removeHandler(handler)


def unshown(text: str) -> bool:
    forms = [
        form
        for value in MINE.values()
        for form in (value, quote(value, safe=""), quote(quote(value, safe=""), safe=""))
    ]
    return not any(form in text for form in forms) and "oauth_signature=" not in text


def test_f39_no_log_at_any_level_holds_a_key_or_an_authorization_header(
    fake: FakeX, clock: object, every_logger_at_debug: io.StringIO
) -> None:
    fake.keys = MINE
    client = XClient(MINE, fake.address, timedelta(seconds=5), fake.clock)
    client.post("said aloud")
    client.timeline(fake.now)
    with pytest.raises(Refused):
        client.followers("1")
    said = every_logger_at_debug.getvalue()
    assert "/2/tweets" in said  # urllib3 was heard, and so the handler works
    assert "tweepy.client DEBUG [not shown]" in said
    assert unshown(said)
    assert "Bearer AAAA" not in said
    client.close()


def test_f39_messages_arguments_and_tracebacks_of_anyone_are_cleaned(every_logger_at_debug: io.StringIO) -> None:
    log = logging.getLogger("somebody.made.later")
    log.setLevel(logging.DEBUG)
    log.warning("headers: %s", {"Authorization": f"Bearer {MINE.bearer_token}"})
    log.warning("key=%s", MINE.api_key)
    log.warning("%d is no number", MINE.api_secret)
    log.warning('Authorization: OAuth oauth_consumer_key="x", oauth_signature="abc%3D"')
    log.info("a bearer of good news, and an oauth dance")
    try:
        raise ValueError(MINE.access_secret)
    except ValueError:
        log.exception("it failed")
    said = every_logger_at_debug.getvalue()
    assert unshown(said)
    assert "Traceback" in said
    assert "ValueError: [not shown]" in said
    assert "a bearer of good news, and an oauth dance" in said


def test_f39_neither_repr_nor_traceback_shows_a_value(fake: FakeX, clock: object) -> None:
    assert repr(MINE) == ("Secrets(api_key=set, api_secret=set, access_token=set, access_secret=set, bearer_token=set)")
    client = XClient(MINE, fake.address, timedelta(seconds=5), fake.clock)
    try:
        client.post("text")
    except Refused:
        shown = "".join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format())
    assert "HTTP 401" in shown
    assert unshown(shown.replace(repr(MINE), ""))
    client.close()
