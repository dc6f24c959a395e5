"""The forward and backward pass of training is nn.LSTM's, only faster: causal, blind to padding, and reproducible."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from biobot.model.batches import PADDING
from biobot.model.lstm import ByteLSTM, pad_start
from biobot.model.shape import Shape
from biobot.model.training_forward import TrainingForward


def model(
    dropout: float = 0.0, skip: bool = False, ngram_buckets: int = 0, dtype: torch.dtype = torch.float32
) -> ByteLSTM:
    torch.manual_seed(5)
    return ByteLSTM(Shape(11, 5, 7, 3, dropout, skip, ngram_buckets), b"abcdefghij").to(dtype)


def ours(
    net: ByteLSTM, inputs: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[float, list[Tensor]]:
    nats, gradients = TrainingForward(net, dtype).gradients(inputs, targets, 10, seed)
    return nats, list(gradients)


def torchs(net: ByteLSTM, inputs: Tensor, targets: Tensor) -> tuple[float, list[Tensor]]:
    logits = net(inputs.t())[0].transpose(0, 1).flatten(0, 1)
    loss = functional.cross_entropy(logits, targets.flatten(), ignore_index=PADDING, reduction="sum")
    return loss.item(), list(torch.autograd.grad(loss / 10, list(net.parameters())))


@pytest.mark.parametrize(("skip", "ngram_buckets"), [(False, 0), (True, 0), (True, 30)])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 0.02)])
def test_loss_logits_and_gradients_are_those_of_nn_lstm(
    dtype: torch.dtype, close: float, skip: bool, ngram_buckets: int
) -> None:
    net = model(skip=skip, ngram_buckets=ngram_buckets, dtype=torch.promote_types(dtype, torch.float32))
    inputs, targets = torch.randint(0, 11, (2, 9, 4))
    targets[7:, 2] = PADDING
    (loss, mine), (right_loss, right) = ours(net, inputs, targets, dtype), torchs(net, inputs, targets)
    assert loss == pytest.approx(right_loss, abs=close * 10)
    for each, wanted in zip(mine, right, strict=True):
        assert torch.allclose(each, wanted, atol=close)
    forward = TrainingForward(net, dtype)
    assert torch.allclose(forward.logits(inputs), net(inputs.t())[0].transpose(0, 1), atol=close)
    assert forward.nats(inputs, targets) == loss


def test_without_onednn_the_numbers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model(skip=True)
    inputs, targets = torch.randint(0, 11, (2, 9, 4))
    loss, gradients = ours(net, inputs, targets)
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    other_loss, others = ours(net, inputs, targets)
    assert other_loss == pytest.approx(loss)
    for each, other in zip(gradients, others, strict=True):
        assert torch.allclose(each, other, atol=1e-6)


def test_changed_weights_count_at_once() -> None:
    net, inputs = model(), torch.randint(0, 11, (6, 3))
    forward = TrainingForward(net, torch.float32)
    before = forward.logits(inputs)
    with torch.no_grad():
        net.layers[1].all_weights[0][1].mul_(2)
    assert not torch.equal(forward.logits(inputs), before)
    assert torch.equal(forward.logits(inputs), TrainingForward(net, torch.float32).logits(inputs))


def test_a_smaller_batch_after_a_larger_one_has_its_own_numbers() -> None:
    net = model()
    forward = TrainingForward(net, torch.float32)
    forward.logits(torch.randint(0, 11, (20, 8)))
    inputs = torch.randint(0, 11, (6, 3))
    assert torch.equal(forward.logits(inputs), TrainingForward(net, torch.float32).logits(inputs))


def test_changing_a_byte_leaves_all_predictions_before_it_unchanged() -> None:  # F33
    net = model(ngram_buckets=30)
    codes = torch.randint(0, 11, (12, 1))
    other = codes.clone()
    other[7:] = (other[7:] + 1) % 11
    forward = TrainingForward(net, torch.float32)
    first, second = forward.logits(codes).clone(), forward.logits(other)
    assert torch.equal(first[:7], second[:7])
    assert not torch.equal(first[7:], second[7:])
    assert torch.equal(net(codes.t())[0][:, :7], net(other.t())[0][:, :7])


@pytest.mark.parametrize("ngram_buckets", [0, 30])
def test_a_bio_cut_in_two_is_predicted_as_in_one_piece(ngram_buckets: int) -> None:
    net = model(ngram_buckets=ngram_buckets)
    codes = torch.randint(0, 11, (3, 12))
    whole = net(codes)[0]
    first, state = net(codes[:, :2])
    second, state = net(codes[:, 2:7], state)
    assert torch.allclose(torch.cat([first, second, net(codes[:, 7:], state)[0]], 1), whole, atol=1e-6)


def test_an_n_gram_is_told_from_another_by_any_of_its_last_four_codes_and_by_none_before() -> None:
    net = model(ngram_buckets=100_000)
    codes = torch.tensor([[1, 2, 3, 4, 5]])
    read = net.embed(pad_start(codes))[0, -1]
    for place in range(5):
        other = codes.clone()
        other[0, place] = 9
        assert torch.equal(net.embed(pad_start(other))[0, -1], read) == (place == 0)


def test_padding_changes_neither_loss_nor_gradient() -> None:  # F35
    net = model(ngram_buckets=30)
    inputs, targets = torch.randint(1, 11, (2, 6, 3))
    longer = torch.cat([inputs, torch.randint(0, 11, (4, 3))])
    padded = torch.cat([targets, torch.full((4, 3), PADDING)])
    (loss, plain), (padded_loss, mine) = ours(net, inputs, targets), ours(net, longer, padded)
    assert padded_loss == pytest.approx(loss)
    for each, right in zip(mine, plain, strict=True):
        assert torch.allclose(each, right, atol=1e-6)


def test_dropout_is_a_function_of_the_seed_and_absent_when_evaluating() -> None:
    net = model(dropout=0.5, skip=True, ngram_buckets=30)
    inputs, targets = torch.randint(0, 11, (2, 6, 3))
    (loss, first), (again, second), (other, third) = (ours(net, inputs, targets, seed=seed) for seed in (1, 1, 2))
    assert loss == again != other
    assert all(torch.equal(*both) for both in zip(first, second, strict=True))
    assert not all(torch.equal(*both) for both in zip(first, third, strict=True))
    assert TrainingForward(net, torch.float32).nats(inputs, targets) == pytest.approx(
        torchs(net.eval(), inputs, targets)[0]
    )


def test_dropout_drops_a_unit_for_a_whole_bio_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    net = ByteLSTM(Shape(11, 5, 7, 1, 0.5), b"abcdefghij")
    with torch.no_grad():  # every logit is a single hidden unit, so that the gradient of the weights shows it
        for name, each in net.named_parameters():
            each.zero_() if name.startswith("linear") else None
    inputs, targets = torch.randint(0, 11, (2, 40, 1))
    kept = []
    for seed in range(200):
        d_weight = ours(net, inputs, targets, seed=seed)[1][-2]
        kept.append((d_weight != 0).any(0))  # a unit that was dropped at every step has no gradient at all
    assert torch.stack(kept).float().mean(0).tolist() == pytest.approx([0.5] * 7, abs=0.12)
    drawn = torch.stack([ours(net, inputs, targets, seed=seed)[1][-2] for seed in range(200)]).mean(0)
    assert torch.allclose(drawn, torchs(net.eval(), inputs, targets)[1][-2], atol=0.05)
