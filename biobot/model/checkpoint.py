"""A model on disk: one safetensors file whose header holds everything that is needed to use it.

The header's metadata has one key, `biobot`, a JSON object: `format`, `shape` (the sizes of a ByteLSTM),
`values` (the byte table, in hex), `card` (id, figures, the corpus' hash and whatever else a reader of the
model should know). It is plain JSON at the front of the file, so `read_header` needs no torch.

A file appears whole or not at all: it is written beside its place, flushed to the disk and renamed.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biobot.errors import ModelError
from biobot.model.codec import Codec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from biobot.model.lstm import ByteLSTM

FORMAT = 3
"""The newest layout that this code reads; the one it writes. Format 2 had no n-gram embeddings, and in format 1 all
layers were one `nn.LSTM`."""

_LONGEST_HEADER = 100_000_000  # safetensors' own limit
_SIZES = {
    "vocabulary": int,
    "embedding": int,
    "hidden": int,
    "layers": int,
    "dropout": float,
    "skip": bool,
    "grams": int,
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a model's file says of itself: its sizes, its byte table, its card and the bytes on disk."""

    shape: Mapping[str, Any]
    codec: Codec
    card: Mapping[str, Any]
    size: int

    @property
    def parameters(self) -> int:
        """How many numbers the model has learnt."""
        v, g, e, h, n = (int(self.shape[name]) for name in ("vocabulary", "grams", "embedding", "hidden", "layers"))
        width = n * h if self.shape["skip"] else h
        return (v + g) * e + 4 * h * (e + h + 2) + (n - 1) * 4 * h * (2 * h + 2) + v * (width + 1)


@dataclass
class Checkpoint:
    """A model with the table of its bytes and its card: facts that JSON can hold."""

    model: ByteLSTM
    codec: Codec
    card: dict[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint, dtype: torch.dtype | Literal["bfloat16"] | None = None) -> None:
    """Write `checkpoint` to `path`, its weights as `dtype` (None: as they are); ModelError if the disk refuses."""
    import torch

    dtype = torch.bfloat16 if dtype == "bfloat16" else dtype
    facts = {
        "format": FORMAT,
        "shape": checkpoint.model.shape.as_dict(),
        "values": checkpoint.codec.values.hex(),
        "card": checkpoint.card,
    }
    tensors = checkpoint.model.state_dict()
    write(path, {name: each.to(dtype or each.dtype) for name, each in tensors.items()}, facts)


def load(path: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Checkpoint:
    """Read a model, ready to predict, its weights as float32 unless `dtype` says otherwise.

    Raises ModelError, in one line, for a file that is missing, cut off, a pickle, of a newer format, without
    a config, or whose byte table or weights do not fit its sizes.
    """
    import torch

    from biobot.model.lstm import ByteLSTM, Shape

    header = read_header(path)
    tensors = read(path)[0]
    # not on the meta device, where the embedding's initialisation imports torch._dynamo: seconds of a cold start
    with torch.random.fork_rng(devices=[]):
        model = ByteLSTM(Shape(**header.shape), header.codec.values)
    wanted = {name: tuple(each.shape) for name, each in model.state_dict().items()}
    found = {name: tuple(each.shape) for name, each in tensors.items()}
    if wanted != found:
        odd = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        raise ModelError(f"{path}: its weights do not fit its sizes ({', '.join(odd[:3])}); train or fetch it again")
    model.load_state_dict({name: each.to(dtype or torch.float32) for name, each in tensors.items()}, assign=True)
    model.to(device).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    for layer in model.layers:
        layer.flatten_parameters()
    return Checkpoint(model, header.codec, dict(header.card))


def read_header(path: Path) -> Header:
    """Read what a model says of itself, without torch; raises ModelError as `load` does."""
    facts, size = _facts(path)
    try:
        shape, values, card = facts["shape"], bytes.fromhex(facts["values"]), facts["card"]
        shape = {"skip": False, "grams": 0, **shape}  # formats 1 and 2 had none
        sizes = {name: kind(shape[name]) for name, kind in _SIZES.items()}
        codec = Codec(values)
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{path}: its config is incomplete or its byte table is wrong; fetch or train it again"
        ) from None
    if codec.size != sizes["vocabulary"]:
        raise ModelError(
            f"{path}: its byte table has {codec.size - 1} values but its weights know {sizes['vocabulary'] - 1}; "
            "it is the table of another model: fetch or train it again"
        )
    return Header(sizes, codec, card, size)


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts (JSON) to `path`: whole, on the disk, or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    plain = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(plain, half, {"biobot": json.dumps(facts, ensure_ascii=False)})
        half.chmod(0o644)  # safetensors writes for the owner alone
        replace(half, path)
    except (OSError, SafetensorError) as error:
        half.unlink(missing_ok=True)
        raise ModelError(f"cannot save {path}: {error}; what was there before is untouched") from None


def replace(half: Path, path: Path) -> None:
    """Put the finished file `half` in the place of `path`, and see to it that both survive a power cut."""
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and facts that `write` wrote; ModelError for a file that it did not write, or not all of.

    Weights that format 1 named otherwise have the names of today.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    facts, _ = _facts(path)
    try:
        return {unstacked(name): each for name, each in load_file(path).items()}, facts
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged ({error}); fetch or train it again") from None


def unstacked(name: str) -> str:
    """Translate a weight's name where all layers are one `nn.LSTM` to its name in a ByteLSTM; others stay."""
    return re.sub(r"\blstm\.(\w+_[ih]h)_l(\d+)$", r"lstm.\2.\1_l0", name)


def _facts(path: Path) -> tuple[dict[str, Any], int]:
    """Read the JSON under `biobot` in a safetensors header, and the size of the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start, brace = file.read(8), file.read(1)
            if brace != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"):
                raise ModelError(
                    f"{path} is a pickle, which can run code when it is opened; biobot reads safetensors only "
                    "(the blog's state_dict: `biobot models import-legacy`)"
                )
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if not 0 < length <= min(size - 8, _LONGEST_HEADER):
                raise ModelError(f"{path} is cut off or no safetensors file ({size} bytes); fetch or train it again")
            header = json.loads(brace + file.read(length - 1))
            ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ModelError(f"{path} is no safetensors file; fetch or train it again") from None
    if max(ends, default=0) + 8 + length != size:
        raise ModelError(f"{path} is cut off: {size} bytes where its header promises more; fetch or train it again")
    try:
        facts = json.loads(header["__metadata__"]["biobot"])
        version = int(facts["format"])
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{path} holds weights but no biobot config; it was not written by biobot") from None
    if version > FORMAT:
        raise ModelError(f"{path} has format {version}, this biobot reads up to {FORMAT}: update biobot")
    return facts, size
