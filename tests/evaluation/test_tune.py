"""`biobot tune` measures temperatures and writes the good ones down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from biobot.app import tuning
from biobot.cli import main
from biobot.config import load
from biobot.errors import ConfigError
from biobot.evaluation.tune import Row, expected_best, lines, recommend

Write = Callable[[str], Path]


def row(temperature: float, accepted: float, real_words: float | None = 1.0) -> Row:
    refused = {"length": 1 - accepted}
    return Row(temperature, 100, accepted, refused, 0.9, 0.5, real_words, 80.0, 2.0, 0.0, 1 / (accepted or 1), None)


def test_a_sweep_prints_each_temperature_and_a_recommendation(
    bot: Write, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bot(f'[model]\nname = "{tiny_model}"\n')
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--json", "-t", "0.5", "-t", "1", "-n", "20", "--plot", "plot.png", "--write"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ended.value.code == 0
    assert [each.get("temperature") for each in found] == [0.5, 1, None]
    shares = ("accepted", "novelty", "distinct", "real_words")
    assert all(0 <= each[name] <= 1 for each in found[:2] for name in shares)
    assert all(each["length"] > 0 for each in found[:2])
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert found[2]["recommended"]
    assert list(load().settings.sample.temperatures) == found[2]["recommended"]


def test_on_a_terminal_it_says_how_fast_it_is_and_ends_with_tables_and_a_picture(
    bot: Write, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bot(f'[model]\nname = "{tiny_model}"\n')
    with pytest.raises(SystemExit) as ended:
        main(["--home", str(tmp_path / "new"), "tune", "-t", "0.8", "-n", "20"])
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert "bios/s · 0:00 to go" in said.err
    assert "T  accepted            novelty  distinct  real words  length  tries  seconds" in said.out
    assert "refused by" in said.out
    assert (tmp_path / "new" / "tune.png").read_bytes().startswith(b"\x89PNG")


def test_each_filter_has_its_column() -> None:
    table = lines([row(0.5, 0.25), row(0.8, 0.75, None)])
    assert "▸  0.8     75.0%" in table[2]
    assert table[1].split() == ["0.5", "25.0%", "██", "90%", "50%", "100%", "80", "4.0", "-", "-"]
    assert [each.split() for each in table[4:]] == [["refused", "by", "length"], ["0.5", "75.0%"], ["0.8", "25.0%"]]


def test_gibberish_is_not_recommended_however_much_of_it_passes() -> None:
    assert recommend([row(0.8, 0.6, 0.9), row(1.2, 0.7, 0.5)]) == [0.8]


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
        "[sample]\ntemperatures = [\n  0.1,  # cold\n]\nmax_tries = 5\n",
        "[sample.temperatures]\n'0.8' = 3\n\n[post]\nreview = 'on'\n",
        "sample.max_tries = 5\n[post]\nreview = 'on'\n",
        "sample = {max_tries = 5}\r\n# the end\r\n",
    ],
)
def test_writes_the_temperatures_and_leaves_the_rest(bot: Write, text: str) -> None:
    bot(text)
    before = load().settings
    tuning.write(load(), [0.7, 0.9])
    after = load().settings
    assert dict(after.sample.temperatures) == {0.7: 1.0, 0.9: 1.0}
    assert (after.post, after.sample.max_tries) == (before.post, before.sample.max_tries)
    written = Path("biobot.toml").read_bytes().decode()
    assert ("# cold" in written) == ("]  # cold" in text)
    assert ("# the end\r\n" in written) == ("# the end" in text)


def test_leaves_a_file_alone_that_it_cannot_change(bot: Write) -> None:
    bot("[sample]\n")
    config = load()
    text = "[sample\n"  # broken since it was read
    Path("biobot.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"cannot set `temperatures = \[0.7\]`"):
        tuning.write(config, [0.7])
    assert Path("biobot.toml").read_text() == text
    Path("biobot.toml").unlink()
    with pytest.raises(ConfigError, match="biobot init"):
        tuning.write(load(), [0.7])


def test_the_best_score_is_the_mean_of_the_best_of_all_choices() -> None:
    scores = [1.0, 4.0, 2.0, 3.0]
    best = [max(pair) for pair in combinations(scores, 2)]
    assert expected_best(scores, 2) == pytest.approx(sum(best) / len(best))
    assert expected_best(scores, 9) == 4
    assert expected_best([], 3) is None


def test_where_a_taste_scores_the_temperature_with_the_best_drafts_is_recommended() -> None:
    rows = [replace(row(T, 0.5), best_score=score) for T, score in ((0.6, 1.9), (0.8, 2.6), (1.0, 2.5))]
    assert recommend(rows) == [0.8, 1.0]
