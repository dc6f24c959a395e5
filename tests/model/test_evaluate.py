"""F35: bits per byte are what a hand calculation gives, over bytes and stops, with nothing left out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from biobot.cli import main
from biobot.model import checkpoint, evaluate
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.shape import Shape
from tests.conftest import made_up_bios


def constant(codec: Codec, probabilities: list[float]) -> Checkpoint:
    """Make a model that predicts the same whatever it has read."""
    model = ByteLSTM(Shape(codec.size, 2, 3, 1)).eval()
    with torch.no_grad():
        model.linear.weight.zero_()
        model.linear.bias.copy_(torch.tensor(probabilities).log())
    return Checkpoint(model, codec)


def test_bits_are_those_of_every_byte_and_every_stop() -> None:
    given = constant(Codec(b"ab"), [0.125, 0.5, 0.375])  # stop, a, b
    score = evaluate.score(given, ["aa", "ab", ""])
    by_hand = 3 * 1 + 1 * -math.log2(0.375) + 3 * 3
    assert score.bits == pytest.approx(by_hand, abs=1e-5)
    assert (score.bytes, score.bios, score.unseen) == (4, 3, 0)
    assert score.bits_per_byte == pytest.approx(by_hand / 7, abs=1e-6)


def test_a_byte_never_learnt_costs_sixteen_bits_and_is_passed_over() -> None:
    given = constant(Codec(b"ab"), [0.125, 0.5, 0.375])
    score = evaluate.score(given, ["aéa"])
    assert score.unseen == 2
    assert score.bits == pytest.approx(1 + 16 + 16 + 1 + 3, abs=1e-5)
    found = evaluate.per_byte(given, "aéa")
    assert found.probabilities == pytest.approx([0.5, 2**-16, 2**-16, 0.5, 0.125], rel=1e-5)
    entropy = -sum(p * math.log2(p) for p in (0.125, 0.5, 0.375))
    assert found.entropies == pytest.approx([entropy] * 5, abs=1e-5)


def test_neither_the_batch_nor_the_cutting_of_long_bios_changes_the_bits(tiny_model: Path) -> None:
    model = checkpoint.load(tiny_model / "model.safetensors")
    bios = [*made_up_bios(40), made_up_bios(1)[0] * 30, ""]
    whole = evaluate.score(model, bios)
    one_by_one = sum((evaluate.score(model, [each]) for each in bios), evaluate.Score())
    assert whole.bits == pytest.approx(one_by_one.bits, rel=1e-6)
    by_byte = sum(-math.log2(p) for each in bios for p in evaluate.per_byte(model, each).probabilities)
    assert whole.bits == pytest.approx(by_byte, rel=1e-6)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_the_command_prints_the_contracts_keys(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bios.jsonl"
    file.write_text('{"bio": "Baker\\r\\nfrom ☃"}\nno json\n\n{"bio": "x"}\n', encoding="utf-8")
    here = ("--home", str(tmp_path / "home"), "eval", str(file), "--model", str(tiny_model))
    code, out, err = run(capsys, *here, "--json")
    facts = json.loads(out)
    assert code == 0
    assert list(facts) == ["bits_per_byte", "bios", "bytes", "unseen", "model"]
    assert (facts["bios"], facts["bytes"], facts["model"]) == (2, 16, "tiny")
    assert facts["unseen"] >= 2  # \r and the snowman's bytes, as they stand
    assert err == f"2 lines of {file} without a bio skipped\n"
    code, out, err = run(capsys, *here, "--per-byte")
    assert err == f"2 lines of {file} without a bio skipped\n"
    first, second = map(json.loads, out.splitlines())
    assert first["bio"] == "Baker\r\nfrom ☃"
    assert len(first["probabilities"]) == len(first["entropies"]) == 16
    assert len(second["probabilities"]) == 2
    total = -sum(math.log2(p) for line in (first, second) for p in line["probabilities"])
    assert facts["bits_per_byte"] == pytest.approx(total / 18, rel=1e-6)


def test_a_file_without_a_bio_is_an_error(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").write_text("")
    code, _, err = run(capsys, "--home", str(tmp_path), "eval", str(tmp_path / "empty.txt"), "--model", str(tiny_model))
    assert code == 1
    assert "no bio" in err
