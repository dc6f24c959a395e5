"""An audit says what a model would emit word for word, and tells what it memorised from what anybody could guess."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from biobot.cli import main
from biobot.evaluation import audit
from biobot.evaluation.audit import EXTRACTABLE_BITS, Memorised, Row
from biobot.model import checkpoint, evaluate
from biobot.model.bytefile import ByteFile
from biobot.model.checkpoint import Checkpoint
from biobot.model.recipe import Recipe
from biobot.model.shape import Shape
from biobot.model.training import Trainer
from tests.conftest import made_up_bios
from tests.model.conftest import sentences


def test_a_text_is_extractable_if_a_million_samples_emit_it_at_least_every_other_time() -> None:
    emitted = 1 - (1 - 2**-EXTRACTABLE_BITS) ** 1_000_000
    assert emitted == pytest.approx(0.5)
    figures = Memorised.of(np.array([EXTRACTABLE_BITS - 0.1, EXTRACTABLE_BITS + 0.1, 10.0, 400.0]))
    assert figures.extractable == 0.5
    assert figures.expected_verbatim_per_million == pytest.approx(
        1e6 * (2**-10 + 2 ** (0.1 - EXTRACTABLE_BITS) + 2 ** (-0.1 - EXTRACTABLE_BITS))
    )


def test_training_and_unseen_bios_are_compared_in_equal_numbers() -> None:
    found = Row(1.0, np.array([10.0, 30.0, 10.0]), np.array([30.0, 30.0])).as_dict()
    assert (found["texts"], found["unseen"]["texts"], found["all"]["texts"]) == (2, 2, 3)
    assert (found["extractable"], found["unseen"]["extractable"], found["all"]["extractable"]) == (0.5, 0.0, 2 / 3)


def test_the_bits_of_texts_at_a_temperature_are_those_of_their_bytes_and_stops(tiny_model: Path) -> None:
    model = checkpoint.load(tiny_model / "model.safetensors")
    texts = [*made_up_bios(40), "\N{SNOWMAN} is unseen"]
    bits = evaluate.text_bits(model, texts, (1.0, 0.5))
    for text, found in zip(texts, bits[0], strict=True):
        right = -sum(map(math.log2, evaluate.per_byte(model, text).probabilities))
        assert found == pytest.approx(right, rel=1e-5)
    codes = torch.tensor([[0, *model.codec.encode(texts[0].encode())]])
    logs = (model.model(codes)[0][0].detach() / 0.5).log_softmax(-1)
    right = -sum(float(row[code]) for row, code in zip(logs, [*codes[0, 1:].tolist(), 0], strict=True))
    assert bits[1, 0] == pytest.approx(right / math.log(2), rel=1e-5)


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[float]]:
    """The exposure (Carlini et al., The Secret Sharer, 2019) of canaries by how often each was planted."""
    draw = random.Random(3)
    made = ["my lucky numbers are " + " ".join(str(draw.randrange(10)) for _ in range(6)) for _ in range(1140)]
    planted = {1: made[:100], 4: made[100:120], 16: made[120:140], 0: made[140:]}
    bios = sentences(300) + [each for count, some in planted.items() for each in some * count]
    folder = tmp_path_factory.mktemp("canaries")
    text = ByteFile.build(folder / "bios", (each.encode() for each in bios))
    dev = ByteFile.build(folder / "dev", (each.encode() for each in sentences(30, seed=1)))
    recipe = Recipe(Shape(0, 16, 128, 1), 1e-2, (1500, 1500), epochs=16)
    trainer = Trainer.begin(folder, text, dev, recipe, clock=lambda: 0.0, dtype=torch.float32)
    list(trainer.run())
    model = Checkpoint(trainer.model.eval(), trainer.codec)
    bits = {count: evaluate.text_bits(model, some)[0] for count, some in planted.items()}
    unseen = np.sort(bits[0])
    ranks = {count: 1 + np.searchsorted(unseen, each) for count, each in bits.items()}
    return {count: list(math.log2(len(unseen) + 1) - np.log2(rank)) for count, rank in ranks.items()}


def test_a_canary_planted_once_is_exposed_no_more_than_unseen_ones(canaries: dict[int, list[float]]) -> None:
    assert np.median(canaries[1]) <= np.quantile(canaries[0], 0.99)


def test_a_canary_planted_often_is_exposed(canaries: dict[int, list[float]]) -> None:
    medians = [float(np.median(canaries[count])) for count in (0, 1, 4, 16)]
    assert medians == sorted(medians)
    assert medians[3] >= np.quantile(canaries[0], 0.99) > medians[0]


def test_a_model_that_memorised_its_bios_is_refused() -> None:
    def figures(training: float, unseen: float) -> dict[str, object]:
        return {"temperature": 0.8, "extractable": training, "unseen": {"extractable": unseen}}

    assert audit.refusal([]) is audit.refusal([figures(0.005, 0.0)]) is audit.refusal([figures(0.5, 0.495)]) is None
    assert "5.0% of its training bios" in (audit.refusal([figures(0.0, 0.0), figures(0.05, 0.01)]) or "")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Bios that `tiny_model` was trained on, and others."""
    for name, bios in (("corpus", made_up_bios(300)), ("dev", sentences(60, seed=9))):
        lines = [json.dumps({"bio": bio}) for bio in [*bios, "too short"]]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "corpus.jsonl", tmp_path / "dev.jsonl"


def test_the_command_prints_an_object_a_temperature_and_draws_the_distribution(
    bot: Callable[[str], Path],
    home: Path,
    tiny_model: Path,
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    bot("")
    here = ["--home", str(home), "audit", "--model", str(tiny_model), "--corpus", str(files[0]), "--dev", str(files[1])]
    with pytest.raises(SystemExit, match="0"):
        main([*here, "--temperature", "0.8", "--temperature", "1.0", "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["temperature"] for each in found] == [0.8, 1.0]
    for each in found:
        assert list(each)[:2] == ["model", "temperature"]
        assert list(each["unseen"]) == ["texts", "expected_verbatim_per_million", "extractable"]
        assert each["texts"] == each["unseen"]["texts"] > 20
        assert each["all"]["texts"] >= each["texts"]
        assert each["extractable"] == 0
    assert not list(home.iterdir())
    with pytest.raises(SystemExit, match="0"):
        main(here)
    assert "all training" in capsys.readouterr().out
    assert (home / "audit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("given", "advice"), [([1, 1], "--corpus FILE"), ([0, 0], "--dev FILE"), ([0], "--dev FILE")])
def test_an_audit_without_the_bios_it_needs_says_which(
    bot: Callable[[str], Path],
    tiny_model: Path,
    files: tuple[Path, Path],
    given: list[int],
    advice: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bot("")
    named = [
        str(each)
        for option, place in zip(("--corpus", "--dev"), given, strict=False)
        for each in (option, files[place])
    ]
    with pytest.raises(SystemExit, match="1"):
        main(["audit", "--model", str(tiny_model), *named])
    assert advice in capsys.readouterr().err
