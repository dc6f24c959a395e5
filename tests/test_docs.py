"""What is written about the code: docstrings in the usual form, and documentation that points at what exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def docstrings(path: Path) -> Iterator[str]:
    """Yield every docstring of a module, as `path:line: text`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}"


def test_no_docstring_begins_with_give_or_tell() -> None:
    modules = [path for folder in ("biobot", "plugins") for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    found = [text for path in modules for text in docstrings(path) if re.match(r"\S+: (Give|Tell)s?\b", text)]
    assert found == [], "write `Return …`, `Yield …` or what is done"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"(?<![\w/])(?:biobot|tests(?=/\w+/)|docs|config|systemd)/[\w./@-]*\.(?:py|md|toml|service|timer)", text
    )
    missing = [name for name in named if not (ROOT / name).is_file()]
    missing += [link for link in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", text) if not (page.parent / link).exists()]
    assert missing == []
