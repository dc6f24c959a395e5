"""`biobot models`: the models, their figures, and which one is active."""

from __future__ import annotations

import json
import re
import shutil
import struct
from pathlib import Path

import pytest

from biobot.cli import main
from biobot.model.registry import Registry


@pytest.fixture
def here(home: Path, tiny_model: Path) -> list[str]:
    shutil.copytree(tiny_model, Registry(home).folder / "mine")
    return ["--home", str(home), "models"]


def run(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert (left.value.code or 0) == code
    out, err = capsys.readouterr()
    return out, err


def test_a_model_is_chosen_and_the_choice_taken_back(here: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "mine is now active" in run(capsys, [*here, "use", "mine"])[0]
    listed = [json.loads(line) for line in run(capsys, [*here, "list", "--json"])[0].splitlines()]
    assert [(each["id"], each["current"]) for each in listed] == [("mine", True), ("starter", False)]
    assert "* mine" in run(capsys, [*here, "list"])[0]
    assert "starter is now active" in run(capsys, [*here, "rollback"])[0]
    assert "no earlier model" in run(capsys, [*here, "rollback"], code=1)[1]
    assert "known here: mine, starter" in run(capsys, [*here, "use", "nobody"], code=1)[1]


def test_a_model_is_shown_with_its_figures_its_curve_and_what_it_says(
    here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, [*here, "show", "starter", "--no-samples"])[0]
    assert "2 x 512" in out
    assert re.search(r"^  dev bits per byte: +2\.\d{1,3}$", out, re.MULTILINE)
    assert re.search(r"^  created: +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$", out, re.MULTILINE)
    assert re.search(r"^  recipe: .*layers 2, .*, batch [\d,]+ to [\d,]+", out, re.MULTILINE)
    assert "{" not in out
    assert "can confirm a guess" in out
    assert any("\u2800" < character < "\u2900" for character in out)
    out = run(capsys, [*here, "show", "mine"])[0]
    assert [line.split()[1] for line in out.splitlines() if line.startswith("T ")] == [
        "0.2",
        "0.5",
        "0.8",
        "1.0",
        "1.2",
    ]
    card = json.loads(run(capsys, [*here, "show", "mine", "--json"])[0])
    assert card["shape"]["layers"] == 2


def test_a_broken_model_does_not_hide_the_others(
    here: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(Registry(home).folder / "mine", Registry(home).folder / "broken")
    (Registry(home).folder / "broken" / "model.safetensors").write_bytes(b"half")
    out, err = run(capsys, [*here, "list"])
    assert "mine" in out
    assert "broken" in err


def test_nonsense_in_a_model_card_hides_neither_other_models_nor_its_own_other_figures(
    here: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {"created": "x", "dev_bits_per_byte": "<b>", "verbatim_rate": [], "curve": [1, [1, 2], "x"], "seed": 7}
    write_card(Registry(home).folder / "mine" / "model.safetensors", {**odd, "report": [{"temperature": "hot"}, 3]})
    listed = [json.loads(line) for line in run(capsys, [*here, "list", "--json"])[0].splitlines()]
    assert [each["id"] for each in listed] == ["mine", "starter"]
    assert (listed[0]["created"], listed[0]["dev_bits_per_byte"], listed[0]["verbatim_rate"]) == (None, None, None)
    assert "mine" in run(capsys, [*here, "list"])[0]
    out = run(capsys, [*here, "show", "mine", "--no-samples"])[0]
    assert re.search(r"^  created: +x$", out, re.MULTILINE)
    assert re.search(r"^  seed: +7$", out, re.MULTILINE)


def write_card(path: Path, card: dict[str, object]) -> None:
    """Replace the card in a model's file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["biobot"]) | {"card": card}
    text = json.dumps(header | {"__metadata__": {"biobot": json.dumps(facts)}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
