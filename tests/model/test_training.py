"""A training learns, can be killed at any moment, and goes on as if nothing had happened."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from biobot.errors import ModelError
from biobot.model import checkpoint, training_state
from biobot.model.batches import COLUMNS, batches, cut, pack, parts
from biobot.model.bytefile import ByteFile
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.recipe import Plan
from biobot.model.shape import Shape
from biobot.model.training import Trainer, fresh, widen
from biobot.model.training_state import Position
from biobot.model.workers import Workers
from tests.model.conftest import SMALL, sentences

Begin = Callable[..., Trainer]


class Machine:
    """A clock that says how long the bytes a trainer has learnt take at `rate` bytes per second."""

    def __init__(self, rate: float = 1000.0) -> None:
        self.rate, self.now, self._bytes = rate, 0.0, 0
        self._trainer: Trainer | None = None

    def runs(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __call__(self) -> float:
        if self._trainer is not None:
            self.now += (self._trainer.state.seen - self._bytes) / self.rate
            self._bytes = self._trainer.state.seen
        return self.now


def weights(model: ByteLSTM) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def run_for(run: Trainer, steps: int) -> None:
    progress = run.run()
    list(islice(progress, steps))
    progress.close()


def test_a_training_lowers_the_bits_and_keeps_its_best_model(training: Begin) -> None:
    run = training(recipe=replace(SMALL, shape=replace(SMALL.shape, dropout=0.0), rate=3e-2, epochs=15))
    seen = [progress.dev_bits for progress in run.run() if progress.dev_bits is not None]
    assert seen[-1] < 0.95 * seen[0]
    assert run.state.best == min(seen)
    card = checkpoint.load(run.folder / "best.safetensors").card
    assert card["dev_sample_bits_per_byte"] == min(seen)
    assert card["corpus_sha256"] == run.bios.digest()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(training: Begin) -> None:
    models = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run = training(name, seed=seed)
        list(run.run())
        models.append(weights(run.model))
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


WIDE = replace(SMALL, shape=Shape(0, 8, 40, 2, 0.1, skip=True, ngram_buckets=50), batch=(3000, 3000), epochs=12)
"""Batches of more than one part."""


def test_the_numbers_are_the_same_for_any_number_of_workers_also_after_a_stop(training: Begin) -> None:  # F31
    models = []
    for first, second in ((1, 1), (2, 3), (3, 1)):
        torch.set_num_threads(first)
        run_for(training(f"{first}", recipe=WIDE, dtype=torch.bfloat16), 4)
        torch.set_num_threads(second)
        run = training(f"{first}", resume=True)
        list(run.run())
        models.append((weights(run.model), run.state.curve))
    some = islice(batches(run.bios, 0, lambda _: 3000, Position(), 0), 5)
    assert any(len(parts(ids, run.bios.lengths(ids))) > 1 for ids, _ in some)
    for model, curve in models[1:]:
        assert same(model, models[0][0])
        assert curve == models[0][1]


@pytest.mark.parametrize("stop_after", [1, 5, 17])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(training: Begin, stop_after: int) -> None:  # F31
    whole = training("whole")
    list(whole.run())
    first = training("parts")
    run_for(first, stop_after)
    second = training("parts", resume=True)
    assert second.state.step == stop_after
    list(second.run())
    assert same(weights(whole.model), weights(second.model))
    assert whole.state.curve == second.state.curve
    assert (whole.folder / "best.safetensors").read_bytes()[-2000:] == (
        second.folder / "best.safetensors"
    ).read_bytes()[-2000:]


def test_a_training_of_format_1_goes_on_bit_for_bit(training: Begin) -> None:
    whole = training("whole")
    list(whole.run())
    begun = training("parts")
    run_for(begun, 7)
    path = begun.folder / "state.safetensors"
    tensors, facts = checkpoint.read(path)
    older = {re.sub(r"lstm\.(\d)\.(\w+)_l0", r"lstm.\2_l\1", name): each for name, each in tensors.items()}
    assert {"model.lstm.weight_hh_l1", "exp_avg_sq.lstm.bias_ih_l0"} <= older.keys()
    older["dice"] = torch.get_rng_state()
    where = facts.pop("state")
    plan = where.pop("plan")
    where |= {"recipe": plan["recipe"], "steps": plan["knots"][-1][0]}
    sizes = where["recipe"].pop("shape")
    for each in (sizes, facts["shape"]):
        del each["skip"], each["ngram_buckets"]
    where["recipe"] |= {each: size for each, size in sizes.items() if each != "vocabulary"}
    checkpoint.write(path, older, facts | {"where": where, "format": 1})
    again = training("parts", resume=True)
    list(again.run())
    assert same(weights(whole.model), weights(again.model))


@pytest.mark.parametrize(("killed", "resumed"), [(1, 2), (3, 1), (2, 3)])
def test_a_kill_in_the_middle_of_a_save_leaves_the_state_before_it(  # F31
    training: Begin, tmp_path: Path, killed: int, resumed: int
) -> None:
    """Whatever the number of workers, before and after."""
    whole = training("whole", recipe=WIDE)
    list(whole.run())
    begun = training("parts", recipe=WIDE)
    run_for(begun, 6)
    script = f"""
import os, sys, torch
sys.path[:0] = {sys.path!r}
from pathlib import Path
from biobot.model import checkpoint, training_state
from biobot.model.bytefile import ByteFile
from biobot.model.training import Trainer
here = Path({str(tmp_path)!r})
clock = iter(range(10 ** 6))
training = Trainer.resume(here / "parts", ByteFile(here / "bios"), ByteFile(here / "dev"),
                           clock=lambda: float(next(clock)), save_every=4.0, workers={killed})
def killed(source, target):
    if target.name == "state.safetensors" and training.state.step > 10:
        os.truncate(source, 1000)
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    rename(source, target)
rename, os.replace = os.replace, killed
for progress in training.run():
    pass
"""
    dead = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=120)
    assert dead.returncode == -signal.SIGKILL, dead.stderr.decode()
    second = training("parts", resume=True, workers=resumed)
    assert 6 <= second.state.step <= 10
    list(second.run())
    assert same(weights(whole.model), weights(second.model))


def test_a_full_disk_is_one_clear_line_and_loses_nothing(training: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = training()
    run_for(run, 6)
    before = (run.folder / "state.safetensors").read_bytes()

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match="No space left on device"):
        list(training(resume=True).run())
    assert (run.folder / "state.safetensors").read_bytes() == before
    assert {each.name for each in run.folder.iterdir()} == {"state.safetensors", "best.safetensors"}


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_best(  # F32
    training: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training(save_every=1.0)
    steps = run.run()
    for progress in steps:
        if progress.dev_bits is not None and progress.step > 4:
            break
    best = (run.folder / "best.safetensors").read_bytes()
    with torch.no_grad():
        run.model.linear.bias[0] = math.nan
    with pytest.raises(ModelError, match="no longer a number at step"):
        list(steps)
    assert (run.folder / "best.safetensors").read_bytes() == best
    assert all(each.isfinite().all() for each in weights(training(resume=True).model).values())


def test_minutes_fix_the_number_of_steps_once_and_the_state_remembers_it(training: Begin) -> None:
    machine = Machine()
    run = training(minutes=2.0, clock=machine)
    machine.runs(run)
    steps = run.run()
    assert next(steps).steps is None
    planned = next(progress.steps for progress in steps if progress.steps)
    assert planned is not None
    assert planned > 30
    steps.close()
    assert training_state.read(run.folder).steps == planned
    again = training(resume=True)
    assert [progress.step for progress in again.run()][-1] == planned


@pytest.mark.parametrize(("at", "factor"), [(31, 0.3), (31, 4.0), (70, 0.25), (110, 0.5)])
def test_a_training_on_a_machine_that_changes_its_speed_ends_at_its_time(
    training: Begin, at: int, factor: float
) -> None:
    machine = Machine()
    run = training(minutes=2.0, clock=machine)
    machine.runs(run)
    rates = []
    for progress in run.run():
        rates.append(run.optimizer.param_groups[0]["lr"])
        if progress.step == at:
            machine.rate *= factor
    assert progress.step == progress.steps
    assert progress.dev_bits is not None
    assert 0.95 * 120 < progress.seconds < 1.05 * 120
    assert rates[-1] < 0.1 * SMALL.rate  # the schedule came to its end


def test_the_shown_speed_and_time_to_go_follow_the_last_half_minute(training: Begin) -> None:
    machine = Machine()
    run = training(recipe=replace(SMALL, epochs=40), clock=machine)
    machine.runs(run)
    for progress in run.run():
        if progress.seconds > 60:
            machine.rate = 300.0
        if 5 < progress.seconds < 60:
            assert progress.bytes_per_second == pytest.approx(1000, rel=0.1)
        elif progress.seconds > 95:
            assert progress.bytes_per_second == pytest.approx(300, rel=0.1)
            ends = progress.seconds + (progress.eta or 0)
            assert ends == pytest.approx(60 + (40 * (len(run.bios.text) + 100) - 60_000) / 300, rel=0.1)


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_the_progress_says_how_much_of_the_time_the_training_was_on_a_core(training: Begin, share: float) -> None:
    wall, run = count(), training()
    run.workers = Workers(1, wall=lambda: float(next(wall)), cpu=lambda: share * next(wall))
    *_, last = run.run()
    assert last.on_core == pytest.approx(share, rel=0.05)


def test_the_rate_climbs_stays_and_falls_to_zero_and_batches_grow() -> None:
    plan = Plan(SMALL).replanned(0, 1000)
    rates = [plan.learning_rate(step) for step in range(1000)]
    assert rates[0] < rates[10] < rates[19] == rates[299] == SMALL.rate
    assert rates[300] > rates[600] > rates[999] > 0
    assert rates[999] < 0.01 * SMALL.rate
    assert (plan.batch_bytes(0), plan.batch_bytes(1000)) == SMALL.batch


def test_dev_is_evaluated_at_equal_distances_and_after_the_last_step() -> None:
    due = [step for step in range(1, 1001) if Plan(SMALL).replanned(0, 1000).evaluates_after(step)]
    assert due == list(range(50, 1001, 50))
    assert [step for step in range(1, 4) if Plan(SMALL).replanned(0, 3).evaluates_after(step)] == [1, 2, 3]


def test_resuming_with_other_bios_or_from_nothing_is_refused(training: Begin, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no training to resume"):
        training(resume=True)
    steps = training().run()
    next(steps)
    steps.close()
    other = ByteFile.build(tmp_path / "bios", [b"something else"])
    with pytest.raises(ModelError, match="bios have changed"):
        Trainer.resume(tmp_path / "run", other, other, clock=lambda: 0.0)


@pytest.mark.parametrize(
    "bios",
    [[b"one bio"], [b"aaaaaaa"] * 20, [b"x", b"y", b"z"], [b"\xff" * 2000, b"b"], [b"", b"a"]],
    ids=["one bio", "one byte value", "bios of a byte", "a very long one", "an empty one"],
)
def test_odd_corpora_are_learnt_without_a_crash(tmp_path: Path, bios: list[bytes]) -> None:
    text = ByteFile.build(tmp_path / "bios", bios)
    run = Trainer.begin(tmp_path / "run", text, text, SMALL, clock=lambda: 0.0, dtype=torch.float32)
    *_, last = run.run()
    assert math.isfinite(last.train_bits)


def test_an_empty_corpus_says_what_to_do(tmp_path: Path) -> None:
    empty = ByteFile.build(tmp_path / "bios", [])
    with pytest.raises(ModelError, match="biobot corpus import"):
        Trainer.begin(tmp_path / "run", empty, empty, SMALL, clock=lambda: 0.0)


def test_an_untrained_model_knows_how_often_each_byte_occurs(tmp_path: Path) -> None:
    text = ByteFile.build(tmp_path / "bios", [b"aaab", b"aa"])
    codec = Codec(text.values())
    model = fresh(replace(SMALL.shape, vocabulary=codec.size), codec, text)
    torch.nn.init.zeros_(model.linear.weight)
    shares = model(torch.zeros(1, 1, dtype=torch.int64))[0].softmax(-1).flatten().tolist()
    assert shares == pytest.approx([2 / 8, 5 / 8, 1 / 8])  # the stop, a, b


@pytest.mark.parametrize("ngram_buckets", [0, 50])
def test_going_on_from_a_model_keeps_what_it_knows_and_learns_bytes_that_are_new_to_it(ngram_buckets: int) -> None:
    torch.manual_seed(0)
    codec, wider = Codec(b"abd"), Codec(b"abcde")
    start = Checkpoint(ByteLSTM(Shape(4, 3, 5, 1, ngram_buckets=ngram_buckets), codec.values), codec)
    model = widen(start, wider, 0.0)
    old = start.model(torch.tensor([[0, 1, 3]]))[0]  # stop, a, d
    new = model(torch.tensor([[0, 1, 4]]))[0]
    assert torch.allclose(old, new[..., [0, 1, 2, 4]], atol=1e-6)


def test_bytes_that_are_new_to_a_model_begin_no_likelier_than_its_rarest(tmp_path: Path) -> None:
    text = ByteFile.build(tmp_path / "bios", [b"a" * 97 + b"b" * 3])
    codec = Codec(text.values())
    model = widen(
        Checkpoint(fresh(replace(SMALL.shape, vocabulary=codec.size), codec, text), codec), Codec(b"abcdefgh"), 0.0
    )
    shares = model(torch.tensor([[0, 1]]))[0].softmax(-1)[0, -1]
    assert shares[3:].max() <= shares[:3].min()  # c to h
    assert shares[:3].sum() > 0.9


def test_going_on_keeps_the_sizes_and_takes_a_lower_rate_also_after_a_stop(tmp_path: Path) -> None:
    text = ByteFile.build(tmp_path / "bios", [b"abc" * 20, b"cba" * 9])
    codec = Codec(text.values())
    start = Checkpoint(ByteLSTM(Shape(codec.size, 3, 5, 2, skip=True, ngram_buckets=9), codec.values), codec)
    run = Trainer.begin(tmp_path / "run", text, text, SMALL, start=start, clock=lambda: 0.0)
    run_for(run, 1)
    again = Trainer.resume(tmp_path / "run", text, text, clock=lambda: 0.0)
    for each in (run, again):
        assert each.state.recipe.shape == replace(start.model.shape, dropout=SMALL.shape.dropout)
        assert each.state.recipe.rate == SMALL.rate / 8


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bios(tmp_path: Path) -> ByteFile:
    return ByteFile.build(tmp_path / "text", [each.encode() for each in sentences(500)])


def test_an_epoch_holds_every_bio_once_in_batches_of_like_length(bios: ByteFile) -> None:
    order = batches(bios, 7, lambda _: 2000, Position(), 0)
    seen: list[int] = []
    for ids, position in order:
        if position.epoch > 0:
            break
        lengths = bios.lengths(ids)
        assert lengths.max() - lengths.min() < 25
        assert len(ids) % COLUMNS == 0 or len(seen) + len(ids) >= 480 or (lengths.max() + 1) * len(ids) <= 2600
        seen += ids.tolist()
    assert sorted(seen) == list(range(500))


def test_the_order_goes_on_from_any_position(bios: ByteFile) -> None:
    def take(position: Position, step: int, number: int) -> list[tuple[list[int], Position]]:
        order = batches(bios, 7, lambda at: 900 + at, position, step)
        return [(ids.tolist(), after) for ids, after in islice(order, number)]

    whole = take(Position(), 0, 120)
    for step in (1, 30, 77):
        assert take(whole[step - 1][1], step, 120 - step) == whole[step:]


def test_packed_bios_begin_with_a_stop_and_end_with_one() -> None:

    codec = Codec(b"ab")
    into, out = pack((np.frombuffer(each, np.uint8) for each in (b"ab", b"b?a", b"")), codec)
    assert into.t().tolist() == [[0, 1, 2], [0, 2, 1], [0, 0, 0]]
    assert out.t().tolist() == [[1, 2, 0], [2, 1, 0], [0, -1, -1]]


def test_a_byte_file_is_mapped_and_gives_back_what_went_in(tmp_path: Path) -> None:
    texts = [b"first", b"", "dritter \N{CHECK MARK}".encode()]

    def once() -> Iterator[bytes]:
        yield from texts

    file = ByteFile.build(tmp_path / "x", once())
    assert [bytes(each) for each in file] == texts
    assert file.values() == bytes(sorted(set(b"".join(texts))))
    assert cut(np.arange(3), file.lengths(np.arange(3)), 100)[0].tolist() == [2, 0, 1]
    assert file.digest() == ByteFile(tmp_path / "x").digest() != ByteFile.build(tmp_path / "y", [b"z"]).digest()
