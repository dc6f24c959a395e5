"""Everything that biobot raises on purpose; each message says what happened, where, and how to mend it.

BiobotError                 it could not be done: one line on stderr, exit code 1
├── ConfigError             biobot.toml, .env or the command line is wrong: exit code 2
├── SecretsError            a key is missing, or its file can be read by others
├── CorpusError             bios cannot be read, stored or found
├── ModelError              a model cannot be loaded, trained, saved or promoted
│   └── UnknownByte         a byte value that the model never saw
├── SampleError             the sampler was asked for something that cannot be
├── PluginError             a plugin cannot be loaded, or answers nonsense
├── OutboxError             the outbox cannot do what was asked (wrong state, stale revision, full disk)
├── LockHeld                another process holds this bot's lock
└── NetworkError            the network did not do it; `biobot.networks.errors` sorts these further
"""

from __future__ import annotations


class BiobotError(Exception):
    """What, where and the mend, in one line for a person."""

    exit_code = 1


class ConfigError(BiobotError):
    """The configuration or the command line is wrong."""

    exit_code = 2


class SecretsError(BiobotError):
    """A secret is missing, or lies where others can read it."""


class CorpusError(BiobotError):
    """Bios cannot be read, stored or found."""


class ModelError(BiobotError):
    """A model cannot be loaded, trained, saved or promoted."""


class UnknownByte(ModelError):
    """A text holds a byte value that the model never saw in training."""

    def __init__(self, value: int, position: int) -> None:
        super().__init__(f"byte 0x{value:02x} at position {position} was never seen in training; leave it out")
        self.value = value
        self.position = position


class SampleError(BiobotError):
    """The sampler was asked for something that cannot be."""


class PluginError(BiobotError):
    """A plugin cannot be loaded, or answers nonsense."""


class OutboxError(BiobotError):
    """The outbox cannot do what was asked of it."""


class LockHeld(BiobotError):
    """Another process holds this bot's lock."""


class NetworkError(BiobotError):
    """The network did not do what was asked of it."""
