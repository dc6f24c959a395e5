"""The blog author's files become one of our models, and not one probability changes."""

from __future__ import annotations

import json
import resource
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from biobot.cli import main
from biobot.model import checkpoint, evaluate
from biobot.model.registry import Registry

VALUES = [101, 32, 97, 240, 159]  # by how often they occur, not by size
STOP = 5


@pytest.fixture
def his(tmp_path: Path) -> dict[str, Tensor]:
    """Write the three files of a model of his shape: one-hot input, three layers, a linear layer."""
    torch.manual_seed(9)
    lstm, linear = nn.LSTM(6, 8, 3), nn.Linear(8, 6)
    weights = {f"lstm.{name}": each for name, each in lstm.state_dict().items()}
    weights |= {f"linear.{name}": each for name, each in linear.state_dict().items()}
    torch.save(weights, tmp_path / "weights")
    sizes = {"input_size": 6, "hidden_size": 8, "num_layers": 3, "dropout": 0.5, "stop_token": STOP}
    (tmp_path / "model_config.json").write_text(json.dumps(sizes))
    (tmp_path / "byte_values.txt").write_text(", ".join(map(str, VALUES)))
    return weights


def probabilities(weights: dict[str, Tensor], text: bytes) -> list[float]:
    """Predict each byte of `text` and its stop as his code does: a one-hot vector, cell after cell, softmax."""
    codes = [STOP, *(VALUES.index(value) for value in text), STOP]
    states = [(torch.zeros(8), torch.zeros(8)) for _ in range(3)]
    found = []
    for code, following in pairwise(codes):
        x = nn.functional.one_hot(torch.tensor(code), 6).float()
        for layer in range(3):
            h, c = states[layer]
            w_ih, w_hh, b_ih, b_hh = (
                weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            i, f, g, o = (w_ih @ x + b_ih + w_hh @ h + b_hh).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            x = o.sigmoid() * c.tanh()
            states[layer] = (x, c)
        logits = weights["linear.weight"] @ x + weights["linear.bias"]
        found.append(float(logits.softmax(0)[following]))
    return found


def command(home: Path, *more: str) -> int:
    arguments = ["--home", str(home), "models", "import-legacy", str(home / "weights")]
    arguments += ["--config", str(home / "model_config.json"), "--byte-values", str(home / "byte_values.txt"), *more]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_every_probability_agrees_with_his(tmp_path: Path, his: dict[str, Tensor]) -> None:
    assert command(tmp_path, "--name", "blog") == 0
    model = Registry(tmp_path).find("blog")
    assert model.index.exists()
    loaded = checkpoint.load(model.weights)
    for text in ("", "a", "ea ae a", "eeee aaaa"):
        ours = evaluate.per_byte(loaded, text).probabilities
        assert ours == pytest.approx(probabilities(his, text.encode()), abs=1e-6)


@pytest.mark.parametrize(
    "odd",
    [
        *({"hidden_size": 20_000}, {"hidden_size": 10**9}, {"num_layers": 10**9}, {"num_layers": 2}),
        *({"input_size": 10**5}, {"input_size": 7}, {"hidden_size": 1e999}, {"hidden_size": -8}, {"dropout": 7}),
        *({"num_layers": [3]}, {"stop_token": 10**30}),
    ],
)
def test_sizes_that_the_weights_do_not_have_are_refused_before_they_are_allocated(
    tmp_path: Path, his: dict[str, Tensor], capsys: pytest.CaptureFixture[str], odd: dict[str, Any]
) -> None:
    config = tmp_path / "model_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | odd))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert command(tmp_path) == 1
    said = capsys.readouterr().err
    assert said.startswith("biobot: ")
    assert said.count("\n") == 1
    assert sys.platform != "linux" or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_files_that_do_not_belong_together_are_refused_by_name(
    tmp_path: Path, his: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "byte_values.txt").write_text("1, 2, 3, 4, 5, 6, 7, 8")
    assert command(tmp_path) == 1
    assert "byte_values.txt lists 8 byte values" in capsys.readouterr().err
    (tmp_path / "byte_values.txt").write_text(", ".join(map(str, VALUES)))
    torch.save({**his, "linear.bias": torch.zeros(3)}, tmp_path / "weights")
    assert command(tmp_path) == 1
    assert "do not fit" in capsys.readouterr().err
    for name, sizes in (("linear.weight", (6, 8)), ("lstm.weight_hh_l0", (32, 8))):
        torch.save({**his, name: torch.zeros(1).expand(sizes)}, tmp_path / "weights")
        assert command(tmp_path) == 1
        assert f"do not fit {tmp_path}" in capsys.readouterr().err
    torch.save({"weights": Path("code that could run")}, tmp_path / "weights")
    assert command(tmp_path) == 1
    assert "holds more than weights" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
