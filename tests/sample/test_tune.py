"""`biobot tune` measures temperatures and writes the good ones down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from biobot.app import tuning
from biobot.cli import main
from biobot.config import load
from biobot.errors import ConfigError
from biobot.lab.tune import Row, recommend

Write = Callable[[str], Path]


def row(temperature: float, accepted: float) -> Row:
    return Row(temperature, 100, accepted, {}, 0.9, 0.5, 80.0, 2.0, 0.0, None, None)


def test_a_sweep_prints_each_temperature_and_a_recommendation(
    bot: Write, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bot(f'[model]\nname = "{tiny_model}"\n')
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--json", "-t", "0.5", "-t", "1", "-n", "20", "--plot", "plot.png", "--write"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ended.value.code == 0
    assert [each.get("temperature") for each in found] == [0.5, 1, None]
    assert all(0 <= each["accepted"] <= 1 and 0 <= each["novelty"] <= 1 and each["length"] > 0 for each in found[:2])
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert found[2]["recommended"]
    assert list(load().settings.sample.temperatures) == found[2]["recommended"]


def test_recommends_what_is_worth_nearly_as_much_as_the_best() -> None:
    assert recommend([row(0.4, 0.1), row(0.6, 0.38), row(0.8, 0.4), row(1.0, 0.37), row(1.2, 0.365)]) == [0.6, 0.8, 1.0]
    assert recommend([row(0.4, 0.0)]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[post]\nreview = 'on'\n",
        "[sample]\nmax_tries = 5\n\n[post]\nreview = 'on'\n",
        "[sample]\ntemperatures = [0.1]  # cold\nmax_tries = 5\n",
        '[sample]\ntemperatures = {"0.8" = 3}\n',
        "[sample]",
    ],
)
def test_writes_the_temperatures_and_leaves_the_rest(bot: Write, text: str) -> None:
    bot(text)
    before = load().settings
    tuning.write(load(), [0.7, 0.9])
    after = load().settings
    assert dict(after.sample.temperatures) == {0.7: 1.0, 0.9: 1.0}
    assert (after.post, after.sample.max_tries) == (before.post, before.sample.max_tries)
    assert ("# cold" in Path("biobot.toml").read_text()) == ("# cold" in text)


def test_leaves_a_file_alone_that_it_cannot_change(bot: Write) -> None:
    text = "[sample]\ntemperatures = [\n  0.1,\n]\n"
    bot(text)
    with pytest.raises(ConfigError, match="write them in one line"):
        tuning.write(load(), [0.7])
    assert Path("biobot.toml").read_text() == text
