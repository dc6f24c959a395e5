"""F38: which model speaks is one atomic choice, which can be taken back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from biobot.bundled import STARTER
from biobot.errors import ModelError
from biobot.model.registry import Registry


@pytest.fixture
def registry(home: Path, tiny_model: Path) -> Registry:
    registry = Registry(home)
    for age, name in enumerate(("newest", "middle", "oldest")):
        shutil.copytree(tiny_model, registry.folder / name)
        os.utime(registry.folder / name / "model.safetensors", (1e9 - age, 1e9 - age))
    return registry


def test_the_starter_speaks_until_a_model_is_promoted(registry: Registry) -> None:
    assert registry.current().path == STARTER
    registry.promote("middle")
    assert registry.current().id == registry.find("current").id == "middle"
    assert [each.id for each in registry.list()] == ["newest", "middle", "oldest", "starter"]


def test_rolling_back_goes_from_model_to_model_down_to_the_starter(registry: Registry) -> None:
    for name in ("oldest", "middle", "newest", "newest"):
        registry.promote(name)
    shutil.rmtree(registry.folder / "middle")  # one that is gone is passed over
    assert registry.rollback().id == "oldest"
    assert registry.rollback().id == "starter"
    with pytest.raises(ModelError, match="no earlier model"):
        registry.rollback()
    assert registry.current().id == "starter"


def test_a_model_is_found_by_id_and_by_path_and_otherwise_the_known_ones_are_named(
    registry: Registry, tiny_model: Path
) -> None:
    assert registry.find("oldest").path == registry.folder / "oldest"
    assert registry.find(str(tiny_model)).id == "tiny"
    assert registry.find(str(tiny_model / "model.safetensors")).path == tiny_model
    with pytest.raises(ModelError, match="newest, middle, oldest"):
        registry.find("nobody")
    with pytest.raises(ModelError, match="not among this bot's models"):
        registry.promote(str(tiny_model))


def test_a_broken_model_never_becomes_active(registry: Registry) -> None:
    registry.promote("oldest")
    (registry.folder / "newest" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError):
        registry.promote("newest")
    assert registry.current().id == "oldest"


def test_a_reader_sees_the_old_choice_or_the_new_one_whatever_dies(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote("oldest")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match="it stays as it was"):
        registry.promote("newest")
    assert registry.current().id == "oldest"
    assert {each.name for each in registry.folder.iterdir()} == {"oldest", "middle", "newest", "current"}


def test_keeping_two_models_removes_the_older_ones_but_never_the_active_one(registry: Registry) -> None:
    registry.promote("oldest")
    assert registry.prune(2) == ["middle"]
    assert [each.id for each in registry.list()] == ["newest", "oldest", "starter"]
    assert registry.prune(1) == ["newest"]
    assert registry.current().id == "oldest"
