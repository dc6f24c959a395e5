"""The models of a bot: `home/models/<id>/`, and which of them is active.

`home/models/current` is a text file: the id of the active model on its first line, below it those that were
active before, latest first. It is replaced atomically, so a reader sees the old model or the new one, never a mix
(F38). Without this file the starter that ships with biobot is active.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from biobot.bundled import STARTER
from biobot.errors import ModelError
from biobot.model import checkpoint
from biobot.storage import atomic_write

_HISTORY = 50  # how many models `current` names


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's id and its folder: the weights with the model card, and the index of its training bios."""

    id: str
    path: Path

    @property
    def weights(self) -> Path:
        """The file of the weights and the model card."""
        return self.path / "model.safetensors"

    @property
    def index(self) -> Path:
        """The file of the fingerprints of its training bios; an older biobot called it `seen.idx`."""
        new, old = self.path / "fingerprints.idx", self.path / "seen.idx"
        return old if old.exists() and not new.exists() else new

    def header(self) -> checkpoint.Header:
        """Read the model's sizes, byte table and model card."""
        return checkpoint.read_header(self.weights)


Folders = list[ModelFolder]
Ids = list[str]


class Registry:
    """The models in one bot's home, and the starter."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "models"

    def find(self, name: str) -> ModelFolder:
        """Return a model: "current", "starter", an id, or the path of a model's folder; else ModelError."""
        if name == "current":
            return self.current()
        if name == "starter":
            return self._starter()
        if re.fullmatch(r"[\w.-]+", name) and (self.folder / name / "model.safetensors").is_file():
            return ModelFolder(name, self.folder / name)
        beginning = [each for each in self.list() if name and each.id.startswith(name)]
        if len(beginning) == 1:
            return beginning[0]
        path = Path(name)
        if path.name == "model.safetensors":
            path = path.parent
        if (path / "model.safetensors").is_file():
            return ModelFolder(path.resolve().name, path)
        known = ", ".join(each.id for each in self.list()) or "none yet"
        raise ModelError(f"there is no model {name!r}; known here: {known}")

    def current(self) -> ModelFolder:
        """Return the active model: the last promoted, else the starter."""
        order = self._order()
        if not order or order[0] == "starter":
            return self._starter()
        path = self.folder / order[0]
        if not (path / "model.safetensors").is_file():
            raise ModelError(f"the active model {order[0]} is gone from {self.folder}; see `biobot models rollback`")
        return ModelFolder(order[0], path)

    def promote(self, name: str) -> ModelFolder:
        """Make the model `name` (an id) active; `rollback` returns to the one before it."""
        model = self.find(name)
        if model.id != "starter" and model.path.parent != self.folder:
            raise ModelError(f"{model.path} is not among this bot's models in {self.folder}; set model.name to use it")
        model.header()  # F30, F38: a model that cannot be read never becomes active
        before = self._order() or ["starter"]
        if before[0] != model.id:
            self._write([model.id, *(each for each in before if each != model.id)])
        return model

    def rollback(self) -> ModelFolder:
        """Make the model before the active one active again, skipping those that are gone; return it."""
        for rest in range(1, len(order := self._order() or ["starter"])):
            try:
                model = self.find(order[rest])
                model.header()
            except ModelError:
                continue
            self._write(order[rest:])
            return model
        raise ModelError("there is no earlier model to return to; see `biobot models list`")

    def remove(self, name: str) -> ModelFolder:
        """Delete a model; raise ModelError for the active one, the starter, and one that is not this bot's."""
        model = self.find(name)
        if model.path.parent != self.folder:
            raise ModelError(f"{model.id} is not among this bot's models in {self.folder}")
        if model.id in self._order()[:1]:
            raise ModelError(f"{model.id} is active; make another one active first: `biobot models use`")
        shutil.rmtree(model.path)
        return model

    def list(self) -> Folders:
        """Return every model, the newest first, the starter last."""
        found = [each for each in self.folder.glob("*/") if (each / "model.safetensors").is_file()]
        found.sort(key=lambda each: ((each / "model.safetensors").stat().st_mtime_ns, each.name), reverse=True)
        models = [ModelFolder(each.name, each) for each in found]
        return [*models, self._starter()] if (STARTER / "model.safetensors").is_file() else models

    def prune(self, keep: int) -> Ids:
        """Remove all but the newest `keep` models, never the active one; return the ids of those removed."""
        own = [each for each in self.list() if each.id != "starter"]
        own.sort(key=lambda each: each.id not in self._order()[:1])  # stable: the current one first, then by age
        for each in own[keep:]:
            shutil.rmtree(each.path)
        return [each.id for each in own[keep:]]

    def _starter(self) -> ModelFolder:
        if not (STARTER / "model.safetensors").is_file():
            raise ModelError("this biobot ships no starter model; train one with `biobot train`")
        return ModelFolder("starter", STARTER)

    def _order(self) -> Ids:
        """Return the ids in `current`: the active model, then those that were active before it."""
        try:
            return (self.folder / "current").read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ModelError(f"cannot read {self.folder / 'current'}: {error.strerror}") from None

    def _write(self, order: Ids) -> None:
        try:
            with atomic_write(self.folder / "current") as file:
                file.write("".join(f"{each}\n" for each in order[:_HISTORY]).encode())
        except OSError as error:
            raise ModelError(f"cannot change the active model: {error.strerror}; it stays as it was") from None
