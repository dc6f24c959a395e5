"""`biobot rehearse`: all faults, nothing doubled and nothing lost; and it would notice (F2, F17, F46)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from biobot.app import rehearsing
from biobot.cli import main
from biobot.posting import policy, transitions
from biobot.posting.outbox import Outbox
from biobot.posting.post import State

Bot = Callable[[str], Path]


@pytest.fixture
def run(
    bot: Bot, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str, toml: str = "") -> tuple[int, str, str]:
        bot(f'[model]\nname = "{tiny_model}"\n{toml}')
        monkeypatch.setattr(sys, "argv", ["biobot", *arguments])
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        code = left.value.code
        said = capsys.readouterr()
        return (code if isinstance(code, int) else 0), said.out, said.err

    return run


def test_days_full_of_faults_end_with_no_double_and_nothing_lost(run: Any) -> None:
    code, out, err = run("rehearse", "--days", "8", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["slots"], report["doubles"], report["lost"], report["spins"]) == (32, 0, 0, 0)
    assert report["posts"] == report["rows"]["posted"] > 15
    assert len(report["faults"]) > 25
    assert set(report["unconfirmed"]) == {"posted", "failed"}  # each was settled
    assert report["blocked"] > 0
    assert sum(report["rows"].values()) >= report["slots"]


def test_without_faults_every_slot_gets_its_post(run: Any) -> None:
    code, out, _ = run("rehearse", "--days", "3", "--faults", "none")
    assert code == 0
    assert out.startswith("the fake x: 3 days, 12 slots, ")
    assert "doubles      0\nlost         0\n" in out
    assert "unconfirmed  0, which ended: none" in out


def test_a_bot_under_review_posts_what_the_person_approves(run: Any) -> None:
    toml = '[post]\nreview = "on"\n'
    report = json.loads(run("rehearse", "--days", "3", "--faults", "timeout-after", "--json", toml=toml)[1])
    assert report["posts"] > 5
    assert (report["doubles"], report["lost"]) == (0, 0)
    assert report["unconfirmed"] == {"posted": report["faults"]["timeout-after"]}


def test_the_bots_own_home_is_left_alone(run: Any, home: Path) -> None:
    run("rehearse", "--days", "0.5")
    assert list(home.iterdir()) == []


def test_an_unknown_fault_is_named_with_those_to_choose_from(run: Any) -> None:
    code, _, err = run("rehearse", "--faults", "timeout-after,nonsense")
    assert code == 1
    assert "unknown fault 'nonsense'; choose from 429, " in err


def test_f2_the_judge_sees_a_bot_that_sends_again_what_may_have_arrived(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = replace(policy.TABLE[policy.UNKNOWN], state=State.APPROVED)
    monkeypatch.setattr(policy, "TABLE", {**policy.TABLE, policy.UNKNOWN: careless})
    code, out, err = run("rehearse", "--days", "2", "--faults", "timeout-after", "--json")
    assert code == 1
    assert json.loads(out)["doubles"] > 0
    assert "there must be none" in err


def test_the_judge_sees_a_post_that_no_row_accounts_for(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    give_up = transitions.give_up
    monkeypatch.setattr(transitions, "record_miss", lambda outbox, row, now, *_: give_up(outbox, row, now, "at once"))
    code, out, _ = run("rehearse", "--days", "2", "--faults", "lag-timeout", "--json")  # F46
    assert code == 1
    assert json.loads(out)["lost"] > 0


def test_the_judge_sees_a_slot_without_a_row(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "skip", lambda *_, **__: None)
    code, out, _ = run("rehearse", "--days", "3", "--faults", "suspended", "--json")
    assert code == 1
    assert json.loads(out)["lost"] > 0


def test_every_fault_of_the_fakes_is_in_the_deck() -> None:
    assert set(rehearsing.STANDS) == set(rehearsing.FAULTS_OF)
    for name, faults in rehearsing.FAULTS_OF.items():
        there = len(rehearsing.STANDS[name].fake(lambda: datetime.now(UTC)).FAULTS)
        assert len(set(faults)) == len(faults) == there + len(rehearsing.BESIDES) - 3 * (name == "bluesky")


def test_on_bluesky_no_fate_stays_unknown(run: Any) -> None:
    code, out, err = run("rehearse", "--days", "8", "--json", toml='[post]\nnetworks = ["stdout", "bluesky"]\n')
    report = json.loads(out)
    assert report["network"] == "bluesky", "the first that can be rehearsed"
    assert (code, err) == (0, "")
    assert (report["slots"], report["doubles"], report["lost"], report["spins"]) == (32, 0, 0, 0)
    assert report["posts"] == report["rows"]["posted"] > 15
    assert len(report["faults"]) > 25
    assert set(report["unconfirmed"]) <= {"posted"}
    assert report["usd"] == 0


@pytest.mark.parametrize(
    "server", ["4.7.2", *(pytest.param(each, marks=pytest.mark.soak) for each in ("4.5", "4.6", "none"))]
)
def test_on_mastodon_nothing_is_doubled_or_lost(run: Any, server: str) -> None:
    code, out, err = run("rehearse", "--network", "mastodon", "--server", server, "--days", "8", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["slots"], report["doubles"], report["lost"], report["spins"]) == (32, 0, 0, 0)
    assert len(report["faults"]) > 25
