"""The blog author's own model files, converted into one of ours.

His model is a one-hot input, an `nn.LSTM` stack and a linear layer. Code i stands for the i-th number in
`byte_values.txt`, and `model_config.json` names the code that starts and ends a bio. A one-hot input is an
embedding whose table is the identity, so every weight is kept as it is, and so is every probability.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import torch
from torch import Tensor

from biobot.errors import ModelError
from biobot.model.checkpoint import Checkpoint, present_name
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.shape import Shape

MAX_CODES = 512
"""More codes than bytes have no use; as many rows and columns are allocated."""


def read(state_dict: Path, config: Path, byte_values: Path) -> Checkpoint:
    """Read a state_dict with its config and byte table; ModelError names the file that does not fit."""
    try:
        sizes = json.loads(config.read_text(encoding="utf-8"))
        codes, hidden, layers, stop = (
            int(sizes[name]) for name in ("input_size", "hidden_size", "num_layers", "stop_token")
        )
        shape = Shape(0, codes, hidden, layers, float(sizes.get("dropout", 0.0)))
    except OSError as error:
        raise ModelError(f"cannot read {config}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{config} is not a model_config.json as the blog writes it: {error!r}") from None
    values = _values(byte_values, codes, stop)
    weights = _weights(state_dict, config, Shape(codes, codes, hidden, layers))

    # his codes in our order: the stop, then the byte values in ascending order
    theirs = [code for code in range(codes) if code != stop]
    order = [stop, *(theirs[values.index(value)] for value in sorted(values))]
    model = ByteLSTM(Shape(len(order), codes, hidden, layers, shape.dropout))
    ours = {
        **{name: each for name, each in weights.items() if name.startswith("lstm.")},
        "embedding.weight": torch.eye(codes)[order],
        "linear.weight": weights["linear.weight"][order],
        "linear.bias": weights["linear.bias"][order],
    }
    model.load_state_dict(ours)
    return Checkpoint(model.eval(), Codec(bytes(sorted(values))), {"origin": "the blog author's own format"})


def _values(path: Path, codes: int, stop: int) -> list[int]:
    """Read the byte values, in the order of their codes."""
    try:
        values = [int(each) for each in path.read_text(encoding="utf-8").replace(",", " ").split()]
        bytes(values)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise ModelError(f"{path} is not a list of byte values from 0 to 255") from None
    if len(set(values)) != len(values) or not 0 < len(values) < codes <= MAX_CODES or not 0 <= stop < codes:
        raise ModelError(
            f"{path} lists {len(values)} byte values and the config has {codes} codes, one of them the stop "
            f"({stop}): these files belong to different models"
        )
    return values


def _weights(path: Path, config: Path, shape: Shape) -> dict[str, Tensor]:
    """Read the weights; they must have the sizes that `config` claims, and that much data, before any is allocated."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
    ):
        raise ModelError(f"{path} is not a state_dict, or holds more than weights: it is not opened") from None
    if not isinstance(weights, dict) or not all(isinstance(each, Tensor) for each in weights.values()):
        raise ModelError(f"{path} is not a state_dict: it must map names to tensors")
    found = {present_name(name): each for name, each in weights.items()}
    claimed = shape.tensors() if shape.layers <= len(found) else {"lstm": (shape.layers,)}
    claimed.pop("embedding.weight", None)
    odd = [name for name, sizes in claimed.items() if name not in found or not _holds(found[name], sizes)]
    odd += [name for name in found if name.startswith("lstm.") and name not in claimed]
    if odd:
        raise ModelError(f"the weights in {path} do not fit {config} ({', '.join(odd[:3])})")
    return {name: found[name].float() for name in claimed}


def _holds(tensor: Tensor, sizes: tuple[int, ...]) -> bool:
    """Return whether a tensor has these sizes, and as much data: a view can make one number look like many."""
    return tuple(tensor.shape) == sizes and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
