"""Settings: found where the contract says, complete, and every mistake named with file, line, key and remedy."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
import tomllib
import typing
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot import config, storage
from biobot.bundled import bundled
from biobot.errors import ConfigError
from biobot.settings import Settings

SHIPPED = bundled("config") / "biobot.toml"


INSTEAD = ("cron", "networks")
"""Keys that stand in the comment of another, since only one of the two may be given."""


def written(folder: Path, text: str) -> Path:
    file = folder / "biobot.toml"
    file.write_text(text, encoding="utf-8")
    return file


def every_key(section: type[Any] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that there is."""
    hints = typing.get_type_hints(section)
    for each in dataclasses.fields(section):
        if dataclasses.is_dataclass(hints[each.name]):
            yield from every_key(hints[each.name], (*above, each.name))
        elif each.name != "tables":
            yield (*above, each.name)


def test_the_shipped_file_says_exactly_the_defaults() -> None:
    found = config.read(SHIPPED)
    assert found.filters.tables == {"length": {"min": 20, "max": 280}}
    assert found.post.network == found.post.first == "rehearsal"
    plain = dataclasses.replace(
        found,
        filters=dataclasses.replace(found.filters, tables={}),
        post=dataclasses.replace(found.post, network=None),
    )
    assert plain == Settings()


def test_the_shipped_file_explains_every_key() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    table = tomllib.loads(text)
    for *sections, key in every_key():
        place = table
        for section in sections:
            place = place[section]
        assert key in place or (key in INSTEAD and f"{key} = " in text), f"{'.'.join([*sections, key])} is missing"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[post.budget]\nposts_per_dy = 3", "line 2: post.budget.posts_per_dy: there is no such key; did you mean"),
        ("[smaple]\ntries = 3", "smaple: there is no such key; did you mean `sample`?"),
        ("[sample]\nmax_tries = 'many'", 'line 2: sample.max_tries: "many" is not a whole number'),
        ("[sample]\nmax_tries = true", "sample.max_tries: true is not a whole number"),
        ("[sample]\nmax_tries = 0", "sample.max_tries: it must be at least 1"),
        ("[sample]\ntemperatures = []", "sample.temperatures: name at least one"),
        ("[sample]\ntemperatures = [nan]", "sample.temperatures: nan is not a finite number"),
        ("[sample]\ntemperatures = [-0.5]", "-0.5 is not a number from 0 to 100"),
        ('[sample]\ntemperatures = {"0.8" = 0}', "the weight of 0.8 must be above 0"),
        ('[sample]\ntemperatures = {"warm" = 1}', "is not a number"),
        ("[sample]\ndeadline = 90", '90 is not a duration such as "90s", "10m"'),
        ('[sample]\ndeadline = "soon"', '"90s", "10m", "1h30m" or "3d"'),
        ("[train]\nmin_bytes = 2000", "line 1: train.max_bytes: it must be at least 2000, which is min_bytes"),
        ('[train]\nlanguages = ["english"]', 'line 2: train.languages: "english" is not one of en, es'),
        (
            '[post]\nnetwork = "mastodo"',
            "line 2: post.network: there is no network 'mastodo', built in or a plugin; did you",
        ),
        ('[post]\nnetwork = "mastodon"', "mastodon.server: name the account's server, as in"),
        ('[mastodon]\nserver = "http://mastodon.social"', "server: it must be https, or http on loopback"),
        ('[post]\nnetwork = "blusky"', "line 2: post.network: there is no network 'blusky'"),
        ('[post]\nnetwork = "blusky"', "did you mean `bluesky`?"),
        ('[post]\nnetworks = ["x", "maston"]', "line 2: post.networks: there is no network 'maston'"),
        ('[post]\nnetwork = "x"\nnetworks = ["x"]', "set either `network` or `networks`, not both"),
        ("[post]\nnetworks = []", "post.networks: name at least one, and each once"),
        ('[post]\nnetworks = ["x", "x"]', "post.networks: name at least one, and each once"),
        ('[bluesky]\nservice = "http://bsky.social"', "bluesky.service: it must be https, or http on loopback"),
        ('[bluesky]\nservice = "bsky.social"', "is not an address such as https://bsky.social"),
        (
            '[post]\nreconcile_after = ["5m", "1m"]',
            "reconcile_after: each wait must be longer than the one before",
        ),
        ('[schedule]\nevery = "1h"\ncron = "0 9 * * *"', "set either `every` or `cron`, not both"),
        ('[schedule]\nquiet = ["23-7"]', 'schedule.quiet: "23-7" is not a span such as "23:00-07:00"'),
        ('[schedule]\ntimezone = "Mars/Olympus"', "is not a time zone known here"),
        ('[x]\napi_base = "http://api.twitter.com"', "it must be https, or http on loopback"),
        ('[x]\napi_base = "https://me:secret@example.com"', "is not an address such as"),
        ("post = 3", "post: this is a section, not 3"),
        ("[post", "is not valid TOML"),
        ('[post]\nreview = "on\\n\\u001b[31m\\u202e"', '"on <1B>[31m<202E>" is not one of "off", "on"'),
        ('[post]\n"a\\nb" = 1', "line 2: post.a b: there is no such key"),
        (f'[post]\nreview = "{"x" * 999}"', "x… is not one of"),
        (f"[post]\nreview = {'[' * 400}{']' * 400}", "is not one of"),
        ("a = " + "[" * 5000, "is not valid TOML: its values are nested too deeply"),
        ("[sample]\nmax_tries = " + "9" * 5000, "is not valid TOML"),
        ("[sample]\nmax_tries = 9223372036854775808", "line 2: sample.max_tries: this number is too large"),
        (f"[post.budget]\nusd_per_month = 1{'0' * 400}", "post.budget.usd_per_month: this number is too large"),
        ('[schedule]\nmin_gap = "3000000d"', "line 2: schedule.min_gap: it must be at most 3650d"),
        ('[schedule]\nevery = "999999999d"', "line 2: schedule.every: it must be at most 3650d"),
        (f'[schedule]\nevery = "{"9" * 400}w"', "line 2: schedule.every: it must be at most 3650d"),
        ('[schedule]\nevery = "0.5s"', "schedule.every: it must be at least 1s"),
        ('[collect]\nfollowers = ["@ok", "me"]', 'line 2: collect.followers: "me" is not an @handle or an id'),
        ('[collect]\nlists = ["0"]', 'collect.lists: "0" is not the id of a list'),
        (f'[collect]\nsearch = ["{"x" * 513}"]', "is not a query of 1 to 512 characters"),
        ('[post.prices]\nas_of = "today"', '"today" is not a day such as "2026-08-13"'),
        ('[schedule]\nquiet = ["23:00-23:00"]', "`biobot pause`"),
        ('[schedule]\nevery = "1.5s"', "schedule.every: it must be whole seconds"),
        ('[x]\ntimeout = "99999999d"', "line 2: x.timeout: it must be at most 1h"),
        ('[x]\ntimeout = "0s"', "line 2: x.timeout: it must be at least 1ms"),
        ('[post]\nreconcile_after = ["1m", "9999d"]', "line 2: post.reconcile_after: it must be at most 3650d"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_its_remedy(tmp_path: Path, text: str, says: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        config.load(file, environ={})
    assert str(file) in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_error_names_the_line_wherever_toml_lets_a_key_stand(tmp_path: Path) -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for *sections, key in every_key():
        if key not in INSTEAD:
            where = config.Where(str(SHIPPED), (*sections, key))
            line = int(str(where.error("")).split("line ")[1].split(":")[0])
            assert lines[line - 1].startswith(f"{key} = ")
            assert f"[{'.'.join(sections)}]" in [each.split("  #")[0].strip() for each in lines[:line]]
    for text, keys, line in (
        ('# [post]\n\npost.budget.posts_per_day = 3\npost.review = "on"', ("post", "review"), 4),
        ('note = """\n[post]\nreview = 1\n"""\n[post]\nreview = "on"', ("post", "review"), 6),
        ('post = {network = "x", review = "on"}', ("post", "review"), 1),
        ('[post.budget]\nposts_per_day = 1\n[post]\n"review" = "on"', ("post", "review"), 4),
        ('[post]\nreconcile_after = [\n "1m",\n]\n  [ post . "budget" ]\nx = 1', ("post", "budget"), 5),
    ):
        where = config.Where(str(written(tmp_path, text)), keys)
        assert f", line {line}: {'.'.join(keys)}: here" in str(where.error("here"))


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path, "")
    file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod go-w"):
        config.read(file)
    file.chmod(0o644)
    assert config.read(file) == Settings()


@pytest.mark.parametrize(
    ("name", "members", "refused"),
    [("{me}", [], False), ("{me}", ["{me}"], False), ("{me}", ["ann"], True), ("users", [], True)],
)
def test_a_group_counts_as_others_unless_it_is_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], refused: bool
) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.struct_group((name.format(me=me), "x", 1, [each.format(me=me) for each in members]))
    monkeypatch.setattr(grp, "getgrgid", lambda _: group)
    file = written(tmp_path, "")
    file.chmod(0o664)
    assert storage.others_can_write(file) == refused


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff[sample]\nmax_tries = 7\n")
    assert config.read(file).sample.max_tries == 7
    written(tmp_path, "\ufeff[sample]\nmax_tires = 7\n")
    with pytest.raises(ConfigError, match=r"line 2: sample\.max_tires"):
        config.read(file)


def test_a_relative_home_stays_where_it_is_when_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = config.load(home=Path("state"), environ={})
    assert found.home == Path.cwd() / "state"
    assert config.load(environ={"BIOBOT_HOME": "other"}).home == Path.cwd() / "other"
    written(tmp_path, "")
    assert config.load(home=Path("state"), environ={}).home == Path.cwd() / "state"


def test_temperatures_are_a_list_or_a_table_of_weights(tmp_path: Path) -> None:
    file = written(tmp_path, "[sample]\ntemperatures = [0.8, 1, 0.8]")
    assert config.read(file).sample.temperatures == {0.8: 2.0, 1.0: 1.0}
    file = written(tmp_path, '[sample]\ntemperatures = {"0.8" = 3, "1.0" = 1}')
    assert config.read(file).sample.temperatures == {0.8: 3.0, 1.0: 1.0}


def test_durations_join_their_units(tmp_path: Path) -> None:
    file = written(tmp_path, '[schedule]\nevery = "1h30m"\njitter = "1.5s"')
    assert config.read(file).schedule.every == timedelta(minutes=90)
    assert config.read(file).schedule.jitter == timedelta(seconds=1.5)


def test_a_config_that_is_a_folder_a_dead_link_or_a_pipe_is_called_that_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, empty, here = tmp_path / "a bot", tmp_path / "empty", tmp_path / "here"
    for folder in (bot, empty, here):
        folder.mkdir()
    written(bot, "")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("gone.toml")
    for name, words in (
        ("a bot", f"{bot} is a folder; name the file in it: '{bot / 'biobot.toml'}'"),
        ("empty", f"{empty} is a folder without a biobot.toml; write one with `biobot init {empty}`"),
        ("link", f"{tmp_path / 'link'} is a link to gone.toml, which is not there; correct it, or remove it"),
        ("pipe", f"{tmp_path / 'pipe'} is no regular file; name one, as it is read again whenever it changes"),
    ):
        for file, environ in ((tmp_path / name, {}), (None, {"BIOBOT_CONFIG": str(tmp_path / name)})):
            with pytest.raises(ConfigError) as caught:
                config.load(file, environ=environ)
            assert str(caught.value) == words
    monkeypatch.chdir(here)
    (here / "biobot.toml").symlink_to("gone.toml")  # and not: all defaults, as if there were none
    with pytest.raises(ConfigError, match=r"^biobot.toml is a link to gone.toml, which is not there"):
        config.load(environ={})


def test_the_file_is_the_named_one_then_the_environments_then_this_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("named", "environment", "here"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, "")
    monkeypatch.chdir(tmp_path / "here")
    environ = {"BIOBOT_CONFIG": str(tmp_path / "environment" / "biobot.toml")}
    named = tmp_path / "named" / "biobot.toml"
    assert config.load(named, environ=environ).folder.name == "named"
    assert config.load(environ=environ).folder.name == "environment"
    assert config.load(environ={}).folder.name == "here"


def test_the_home_is_the_named_one_then_the_environments_then_systemds_then_state(tmp_path: Path) -> None:
    file = written(tmp_path, "")
    both = {"BIOBOT_HOME": "/one", "STATE_DIRECTORY": "/two:/three"}
    assert config.load(file, Path("/zero"), both).home == Path("/zero")
    assert config.load(file, environ=both).home == Path("/one")
    assert config.load(file, environ={"STATE_DIRECTORY": "/two:/three"}).home == Path("/two")
    assert config.load(file, environ={}).home == tmp_path.resolve() / "state"


def test_without_any_file_all_is_default_and_lies_in_the_platforms_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    found = config.load(environ={"XDG_DATA_HOME": "/data"})
    assert (found.settings, found.file, found.home) == (Settings(), None, Path("/data/biobot"))


def test_a_file_that_is_named_and_missing_is_an_error_not_a_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="biobot init"):
        config.load(tmp_path / "biobot.toml", environ={})
