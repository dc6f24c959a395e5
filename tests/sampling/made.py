"""Models made for tests: small, untrained, of chosen bytes."""

from __future__ import annotations

import torch

from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.shape import Shape


def checkpoint(
    values: bytes,
    hidden: int = 32,
    layers: int = 2,
    scale: float = 3.0,
    seed: int = 1,
    skip: bool = False,
    ngram_buckets: int = 0,
) -> Checkpoint:
    """Make a random model of these byte values whose distributions are far from even (larger `scale`: farther)."""
    torch.manual_seed(seed)
    codec = Codec(bytes(sorted(set(values))))
    shape = Shape(codec.size, embedding=16, hidden=hidden, layers=layers, skip=skip, ngram_buckets=ngram_buckets)
    model = ByteLSTM(shape, codec.values).eval()
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(scale)
        if ngram_buckets:
            model.ngram_embedding.weight.normal_(std=scale)  # as far from even as the bytes' own embeddings
    return Checkpoint(model, codec, {})


EVERY = bytes(each for each in range(256) if each not in (0xC0, 0xC1) and each < 0xF5)
