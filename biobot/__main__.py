"""`python -m biobot`: the same program as the `biobot` command."""

from __future__ import annotations

from biobot.cli import main

if __name__ == "__main__":
    main(prog_name="biobot")
