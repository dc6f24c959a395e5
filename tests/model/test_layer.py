"""The fused layer is nn.LSTM, only faster; the future is hidden from it, and padding is nothing to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from biobot.model.batches import PADDING
from biobot.model.lstm import ByteLSTM, pad_start
from biobot.model.shape import Shape
from biobot.model.training_forward import Layer, TrainingForward, Workspace


def model(dropout: float = 0.0, skip: bool = False, ngram_buckets: int = 0) -> ByteLSTM:
    torch.manual_seed(5)
    return ByteLSTM(Shape(11, 5, 7, 2, dropout, skip, ngram_buckets), b"abcdefghij")


def gradients(net: ByteLSTM, logits: Tensor, wanted: Tensor) -> list[Tensor]:
    net.zero_grad()
    functional.cross_entropy(logits, wanted.flatten(), ignore_index=PADDING, reduction="sum").backward()  # type: ignore[no-untyped-call]
    return [each.grad.clone() for each in net.parameters() if each.grad is not None]


@pytest.mark.parametrize(("skip", "ngram_buckets"), [(False, 0), (True, 0), (True, 30)])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 0.15)])
def test_the_layer_gives_the_numbers_and_gradients_of_nn_lstm(
    dtype: torch.dtype, close: float, skip: bool, ngram_buckets: int
) -> None:
    net = model(skip=skip, ngram_buckets=ngram_buckets).to(torch.promote_types(dtype, torch.float32))
    codes, wanted = torch.randint(0, 11, (2, 9, 4))
    ours = TrainingForward(net, dtype).logits(codes)
    theirs = net(codes.t())[0].transpose(0, 1).flatten(0, 1)
    assert torch.allclose(ours, theirs, atol=close)
    for mine, right in zip(gradients(net, ours, wanted), gradients(net, theirs, wanted), strict=True):
        assert torch.allclose(mine, right, atol=close * 4)


def test_the_hand_written_backward_passes_gradcheck() -> None:
    torch.manual_seed(1)
    x = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    parameters = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((8, 3), (8, 2), (8,), (8,))
    ]

    def run(*inputs: Tensor) -> Tensor:
        return Layer.apply(*inputs, torch.float64, Workspace(), "0").clone()  # type: ignore[no-any-return,no-untyped-call]

    assert torch.autograd.gradcheck(run, (x, *parameters))


def test_a_buffer_that_served_a_larger_batch_serves_a_smaller_one() -> None:
    net = model()
    forward = TrainingForward(net, torch.float32)
    forward.logits(torch.randint(0, 11, (20, 8)))
    codes = torch.randint(0, 11, (6, 3))
    assert torch.equal(forward.logits(codes), TrainingForward(net, torch.float32).logits(codes))


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
    forward = TrainingForward(net, torch.float32)
    codes, wanted = torch.randint(1, 11, (2, 6, 3))
    longer = torch.cat([codes, torch.randint(0, 11, (4, 3))])
    padded = torch.cat([wanted, torch.full((4, 3), PADDING)])
    plain = gradients(net, forward.logits(codes), wanted)
    for mine, right in zip(gradients(net, forward.logits(longer), padded), plain, strict=True):
        assert torch.allclose(mine, right, atol=1e-5)


def test_dropout_hides_the_same_units_at_every_step_and_none_when_predicting() -> None:
    net = model(dropout=0.5)
    forward = TrainingForward(net, torch.float32)
    hidden = forward._drop(torch.ones(5, 7, 4))
    assert torch.equal(hidden, hidden[:1].expand_as(hidden))
    assert set(hidden.flatten().tolist()) == {0.0, 2.0}
    net.eval()
    codes = torch.randint(0, 11, (5, 2))
    assert torch.equal(forward.logits(codes), forward.logits(codes))
