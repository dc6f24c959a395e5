"""Everything that biobot raises on purpose; each message says what happened, where, and how to fix it.

BiobotError                 it could not be done: one line on stderr, exit code 1
├── ConfigError             biobot.toml, .env or the command line is wrong: exit code 2
├── SecretsError            a key is missing, or its file can be read by others
├── CorpusError             bios cannot be read, stored or found
│   └── BadFile             this file of bios or ids cannot be read, or holds none
├── ModelError              a model cannot be loaded, trained, saved or promoted
├── SampleError             invalid sampling parameters, or nothing that the model could sample
├── PluginError             a plugin cannot be loaded, or does not keep to its hook
├── TasteError              marks cannot be read or stored, or the taste cannot be learnt
├── OutboxError             a post cannot be changed as asked (wrong state, full disk)
│   └── Stale               it has changed since it was read
├── LockHeld                another process holds this bot's lock
└── NetworkError            a network did not do what was asked; `biobot.networks.errors` divides these
"""

from __future__ import annotations

from biobot.redact import hide


def say(error: BaseException) -> str:
    """Return the kind of an exception and its text, in one line without secrets, even where its text raises."""
    try:
        text = hide(" ".join(str(error).split()))
    except Exception:  # noqa: BLE001 - it is someone else's
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}{': ' if text else ''}{text}"


class BiobotError(Exception):
    """It could not be done; the message is one line for a person, without secrets."""

    exit_code = 1

    def __str__(self) -> str:
        return hide(super().__str__())


class ConfigError(BiobotError):
    """The configuration or the command line is wrong."""

    exit_code = 2


class SecretsError(BiobotError):
    """A key is missing, or others can read its file."""


class CorpusError(BiobotError):
    """Bios cannot be read, stored or found."""


class BadFile(CorpusError):
    """A file of bios or ids cannot be read, or holds none."""


class ModelError(BiobotError):
    """A model cannot be loaded, trained, saved or promoted."""


class SampleError(BiobotError):
    """Sampling parameters are invalid, or the model can sample nothing with them."""


class PluginError(BiobotError):
    """A plugin cannot be loaded, or does not keep to its hook."""


class TasteError(BiobotError):
    """Marks cannot be read or stored, or the taste cannot be learnt."""


class OutboxError(BiobotError):
    """A post cannot be changed as asked."""


class Stale(OutboxError):
    """A post has changed since it was read: somebody else was faster."""


class LockHeld(BiobotError):
    """Another process holds this bot's lock."""


class NetworkError(BiobotError):
    """A network did not do what was asked."""
