"""The hooks of a plugin: the whole extension surface.

A hook takes the arguments it names, in any order, and without default values.
"""

from __future__ import annotations

from typing import Any

import pluggy

from biobot.candidate import Candidate, KnownTexts

hookspec = pluggy.HookspecMarker("biobot")
hookimpl = pluggy.HookimplMarker("biobot")
"""Marks a function of a plugin as the implementation of the hook whose name it bears."""


@hookspec
def biobot_filter(candidate: Candidate, settings: Any, seen: KnownTexts) -> str | None:
    """Say why `candidate` must not be posted, or return None to let it pass."""


@hookspec
def biobot_settings() -> type:  # type: ignore[empty-body]
    """Return a frozen dataclass: the keys of this plugin's table in biobot.toml, with their types and defaults."""


@hookspec
def biobot_score(candidate: Candidate, settings: Any) -> float:  # type: ignore[empty-body]
    """Say how good `candidate` is: of `sample.best_of` accepted drafts the one with the greatest sum is posted."""


@hookspec
def biobot_network() -> type:  # type: ignore[empty-body]
    """Return a subclass of biobot.Network, for `post.network`; its `name` is the plugin's."""
