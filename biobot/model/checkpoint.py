"""A model on disk: one safetensors file whose header holds everything that is needed to use it.

The header's metadata has one key, `biobot`, a JSON object: `format`, `shape` (the sizes of a ByteLSTM), `values`
(the byte table, in hex) and `card`, the model card: id, figures, the corpus' hash and whatever else a reader of
the model should know. It is plain JSON at the front of the file, so `read_header` needs no torch.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biobot.errors import ModelError
from biobot.model.codec import Codec
from biobot.model.shape import Shape
from biobot.storage import atomic_write

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from biobot.model.lstm import ByteLSTM

FORMAT = 4
"""The newest layout that this code reads, and the one it writes. Up to format 3 n-gram embeddings had another name,
format 2 had none, and in format 1 all layers were one `nn.LSTM`."""

_MAX_HEADER = 100_000_000  # bytes; safetensors' own limit


@dataclass(frozen=True, slots=True)
class Header:
    """What a model file says of itself: its sizes, its byte table, its model card and its bytes on disk."""

    shape: Shape
    codec: Codec
    card: Mapping[str, Any]
    size: int

    @property
    def parameters(self) -> int:
        """How many parameters the model has."""
        return sum(map(math.prod, self.shape.tensors().values()))


@dataclass
class Checkpoint:
    """A model with its byte table and its model card: facts that JSON can hold."""

    model: ByteLSTM
    codec: Codec
    card: dict[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint, dtype: torch.dtype | Literal["bfloat16"] | None = None) -> None:
    """Write `checkpoint` to `path`, its weights as `dtype` (None: as they are); ModelError if the disk refuses."""
    import torch

    dtype = torch.bfloat16 if dtype == "bfloat16" else dtype
    facts = {
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

    from biobot.model.lstm import ByteLSTM

    header = read_header(path)
    tensors = read(path)[0]
    # not on the meta device, where the embedding's initialisation imports torch._dynamo: seconds of a cold start
    with torch.random.fork_rng(devices=[]):
        model = ByteLSTM(header.shape, header.codec.values)
    model.load_state_dict({name: each.to(dtype or torch.float32) for name, each in tensors.items()}, assign=True)
    model.to(device).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    for layer in model.layers:
        layer.flatten_parameters()
    return Checkpoint(model, header.codec, dict(header.card))


def read_header(path: Path) -> Header:
    """Read what a model says of itself, without torch; raises ModelError as `load` does."""
    facts, tensors, size = _read_json(path)
    try:
        shape, codec, card = Shape.parse(facts["shape"]), Codec(bytes.fromhex(facts["values"])), dict(facts["card"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: its config is incomplete or its byte table is wrong ({repr(error)[:99]}); fetch or train it again"
        ) from None
    if codec.size != shape.vocabulary:
        raise ModelError(
            f"{path}: its byte table has {codec.size - 1} values but its weights know {shape.vocabulary - 1}; "
            "it is the table of another model: fetch or train it again"
        )
    # compared before anything of these sizes is allocated; what they claim may be any number
    claimed = shape.tensors() if shape.layers <= len(tensors) else {"lstm": (shape.layers,)}
    if claimed != tensors:
        odd = sorted(name for name in {*claimed, *tensors} if claimed.get(name) != tensors.get(name))
        raise ModelError(f"{path}: its weights do not fit its sizes ({', '.join(odd[:3])}); train or fetch it again")
    return Header(shape, codec, card, size)


def read_facts(path: Path) -> dict[str, Any]:
    """Read the JSON that `write` put into a file's header, without torch; raises ModelError as `read` does."""
    return _read_json(path)[0]


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts (JSON) to `path` atomically; ModelError if the disk refuses."""
    from safetensors.torch import save

    plain = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    data = save(plain, {"biobot": json.dumps({"format": FORMAT, **facts}, ensure_ascii=False)})
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise ModelError(f"cannot save {path}: {error}; what was there before is untouched") from None


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, under their present names, and the facts that `write` wrote; ModelError for any other file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    facts = read_facts(path)
    try:
        return {present_name(name): each for name, each in load_file(path).items()}, facts
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged ({error}); fetch or train it again") from None


def present_name(name: str) -> str:
    """Return the present name of a weight that a file of any format, or the blog's state_dict, calls `name`."""
    name = re.sub(r"\blstm\.(\w+_[ih]h)_l(\d+)$", r"lstm.\2.\1_l0", name)
    return re.sub(r"\bgrams\.weight$", "ngram_embedding.weight", name)


def _read_json(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]], int]:
    """Read the JSON under `biobot` in a safetensors header, each tensor's shape, and the size of the file."""
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
            if not 0 < length <= min(size - 8, _MAX_HEADER):
                raise ModelError(f"{path} is cut off or no safetensors file ({size} bytes); fetch or train it again")
            header = json.loads(brace + file.read(length - 1))
        metadata = header.pop("__metadata__", {})
        tensors = {present_name(name): tuple(map(int, each["shape"])) for name, each in header.items()}
        end = max((int(each["data_offsets"][1]) for each in header.values()), default=0)
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
        raise ModelError(f"{path} is not a safetensors file; fetch or train it again") from None
    if end + 8 + length != size:
        raise ModelError(f"{path} is cut off: {size} bytes where its header promises more; fetch or train it again")
    try:
        facts = json.loads(metadata["biobot"])
        version = int(facts["format"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise ModelError(f"{path} holds weights but no biobot config; it was not written by biobot") from None
    if version > FORMAT:
        raise ModelError(f"{path} has format {version}, this biobot reads up to {FORMAT}: update biobot")
    return facts, tensors, size
