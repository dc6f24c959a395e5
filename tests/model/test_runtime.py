"""torch is loaded as a process that must answer soon wants it."""

from __future__ import annotations

import gc
import os

from biobot.model import runtime


def test_keeps_torch_out_of_the_garbage_collectors_way_which_goes_on() -> None:
    before = gc.get_freeze_count()
    runtime.load()
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() > max(before, 50_000)
        assert all(os.environ[name] for name in runtime.SETTINGS)
    finally:
        gc.unfreeze()
