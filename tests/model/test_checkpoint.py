"""F30: a model's file loads anywhere, or says in one line why not."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from biobot.errors import ModelError
from biobot.model import checkpoint
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.shape import Shape


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    codec = Codec(b"\nabc\xf0")
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, Checkpoint(ByteLSTM(Shape(codec.size, 4, 6, 2, 0.3)), codec, {"id": "x", "été": [1, None]}))
    return path


def rewrite(file: Path, **changes: object) -> None:
    """Change facts in the header."""
    tensors = load_file(file)
    facts = {**checkpoint.read(file)[1], **changes}
    save_file(tensors, file, {"biobot": json.dumps(facts)})


def test_what_was_saved_is_loaded_ready_to_predict(file: Path) -> None:
    loaded = checkpoint.load(file)
    assert loaded.codec == Codec(b"\nabc\xf0")
    assert loaded.card == {"id": "x", "été": [1, None]}
    assert not loaded.model.training
    checkpoint.save(file, loaded, torch.bfloat16)
    again = checkpoint.load(file)
    assert {each.dtype for each in again.model.parameters()} == {torch.float32}
    codes = torch.tensor([[0, 1, 2]])
    assert torch.allclose(loaded.model(codes)[0], again.model(codes)[0], atol=0.02)


def test_the_header_is_read_without_torch(file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from biobot.model import checkpoint, registry;"
        f"header = checkpoint.read_header(Path({str(file)!r})); assert 'torch' not in sys.modules;"
        "print(header.parameters, header.size, header.codec.size)"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    parameters = sum(each.numel() for each in checkpoint.load(file).model.parameters())
    assert list(map(int, found)) == [parameters, file.stat().st_size, 6]


def test_a_header_of_any_length_is_no_pickle(file: Path) -> None:
    loaded = checkpoint.load(file)
    for more in range(0, 256, 8):  # the length stands first, and 0x0480, say, begins like a pickle
        loaded.card["more"] = "x" * more
        checkpoint.save(file, loaded)
        assert len(checkpoint.read_header(file).card["more"]) == more


def test_a_model_of_format_1_whose_layers_were_one_lstm_predicts_the_same(file: Path) -> None:
    wanted, facts = checkpoint.load(file), checkpoint.read(file)[1]
    older = {re.sub(r"lstm\.(\d)\.(\w+)_l0", r"lstm.\2_l\1", name): each for name, each in load_file(file).items()}
    assert {"lstm.weight_ih_l1", "lstm.bias_hh_l0"} <= older.keys()
    del facts["shape"]["skip"], facts["shape"]["ngram_buckets"]
    save_file(older, file, {"biobot": json.dumps(facts | {"format": 1})})
    codes = torch.tensor([[0, 1, 2]])
    assert torch.equal(wanted.model(codes)[0], checkpoint.load(file).model(codes)[0])


def test_a_model_of_format_2_which_knew_no_n_grams_predicts_the_same(file: Path) -> None:
    wanted, (tensors, facts) = checkpoint.load(file), checkpoint.read(file)
    del facts["shape"]["ngram_buckets"]
    checkpoint.write(file, tensors, facts | {"format": 2})
    codes = torch.tensor([[0, 1, 2]])
    assert torch.equal(wanted.model(codes)[0], checkpoint.load(file).model(codes)[0])


def test_the_linear_layer_reads_every_layer_where_the_shape_says_so(file: Path) -> None:
    torch.manual_seed(0)
    model = ByteLSTM(Shape(6, 4, 6, 2, skip=True))
    checkpoint.save(file, Checkpoint(model, Codec(b"\nabc\xf0")))
    assert checkpoint.read_header(file).parameters == sum(each.numel() for each in model.parameters())
    codes = torch.tensor([[0, 1, 2]])
    before = checkpoint.load(file).model
    with torch.no_grad():
        before.linear.weight[:, :6] = 0  # of the first layer's hidden states
    assert not torch.allclose(before(codes)[0], checkpoint.load(file).model(codes)[0])


def test_n_gram_embeddings_are_kept_and_read(file: Path) -> None:
    model = ByteLSTM(Shape(6, 4, 6, 2, ngram_buckets=50), b"\nabc\xf0").eval()
    checkpoint.save(file, Checkpoint(model, Codec(b"\nabc\xf0")))
    assert checkpoint.read_header(file).parameters == sum(each.numel() for each in model.parameters())
    codes = torch.tensor([[0, 1, 2, 5, 3]])
    assert torch.equal(checkpoint.load(file).model(codes)[0], model(codes)[0])


def test_every_broken_file_is_one_clear_line(file: Path, tmp_path: Path) -> None:
    whole, path = file.read_bytes(), tmp_path / "broken.safetensors"

    def refused(why: str) -> None:
        for read in (checkpoint.read_header, checkpoint.load):
            with pytest.raises(ModelError, match=why) as caught:
                read(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)

    refused("cannot read")
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused("cut off|not a safetensors")
    path.write_bytes(b"\x10\0\0\0\0\0\0\0" + b"not json at all!")
    refused("not a safetensors")
    path.write_bytes(struct.pack("<Q", 1 << 40) + whole)
    refused("cut off")
    torch.save({"a": torch.zeros(1)}, path)
    refused("pickle")
    path.write_bytes(pickle.dumps({"a": 1}))
    refused("pickle")
    save_file({"a": torch.zeros(1)}, path)
    refused("no biobot config")
    path.write_bytes(whole)
    rewrite(path, format=checkpoint.FORMAT + 1)
    refused("update biobot")
    path.write_bytes(whole)
    rewrite(path, values=b"ab".hex())
    refused("byte table has 2 values but its weights know 5")
    rewrite(path, values=b"cba".hex())
    refused("byte table is wrong")
    rewrite(path, values=Codec(b"\nabc\xf0").values.hex(), shape={"hidden": 3})
    refused("config")


def test_a_shape_knows_the_tensors_of_its_model() -> None:
    for shape in (Shape(6, 4, 6, 1), Shape(6, 4, 6, 3, 0.5, skip=True), Shape(6, 4, 6, 2, ngram_buckets=9)):
        tensors = ByteLSTM(shape, b"\nabc\xf0").state_dict()
        assert shape.tensors() == {name: tuple(each.shape) for name, each in tensors.items()}


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden": 7},
        {"hidden": 20_000},
        {"hidden": 10**30},
        {"layers": 10**9},
        {"layers": 1},
        {"embedding": 10**6},
        {"ngram_buckets": 10**9},
        {"hidden": -6},
        {"hidden": 0},
        {"dropout": 7},
        {"dropout": math.inf},
        {"hidden": math.inf},
        {"hidden": 6.0},
        {"hidden": "6"},
        {"skip": 1},
        {"a\nnew": "size"},
    ],
    ids=str,
)
def test_sizes_that_the_weights_do_not_have_are_one_line_and_take_no_memory(
    file: Path, sizes: dict[str, object]
) -> None:
    rewrite(file, shape=checkpoint.read_facts(file)["shape"] | sizes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (checkpoint.read_header, checkpoint.load):
        with pytest.raises(ModelError, match=r"do not fit its sizes|config is incomplete") as caught:
            read(file)
        assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


@pytest.mark.parametrize(
    "header",
    [
        "[" * 100_000,
        "{}",
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}}',
        '{"a": {"dtype": "F32", "shape": [Infinity], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, Infinity]}}',
        '{"a": 1}',
        '{"__metadata__": {"biobot": "%s"}}' % ("[" * 100_000),
        '{"__metadata__": {"biobot": "{\\"format\\": Infinity}"}}',
        '{"__metadata__": {"biobot": "[]"}}',
        '{"__metadata__": []}',
    ],
    ids=range(10),
)
def test_odd_headers_are_one_clear_line(tmp_path: Path, header: str) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + b"\0\0\0\0" * ("F32" in header))
    for read in (checkpoint.read_header, checkpoint.load, checkpoint.read):
        with pytest.raises(ModelError, match=r"not a safetensors file|cut off|no biobot config") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_save_that_fails_leaves_the_file_before_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, loaded = file.read_bytes(), checkpoint.load(file)

    def full(_: int) -> None:
        raise OSError(28, "No space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"No space left.*untouched"):
        checkpoint.save(file, loaded)
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]
