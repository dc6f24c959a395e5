"""docs/failures.md stays in step: every code cited is defined there once, every story names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "failures.md"
STORY = re.compile(r"^\| (F\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
CITED = re.compile(r"\bF[1-9]\d?\b|(?<=_)f[1-9]\d?(?=_)")
"""F12 in prose, or `test_f12_…` in a test's name."""


def cited() -> dict[str, set[str]]:
    """Return the files that cite each code, but for docs/failures.md and this one."""
    files = [path for folder in ("biobot", "plugins", "tests") for path in (ROOT / folder).rglob("*.py")]
    files += [path for path in (ROOT / "docs").glob("*.md") if path != PAGE]
    files += [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    found: dict[str, set[str]] = {}
    for path in set(files) - {Path(__file__)}:
        for code in CITED.findall(path.read_text(encoding="utf-8")):
            found.setdefault(code.upper(), set()).add(str(path.relative_to(ROOT)))
    return found


def names_of_tests(path: Path) -> set[str]:
    """Return the names of a module's test functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def stories() -> list[tuple[str, list[str]]]:
    """Return each story's code and the tests that it names, in the order of the page."""
    rows = STORY.findall(PAGE.read_text(encoding="utf-8"))
    return [(code, re.findall(r"`([^`]+::[^`]+)`", tests)) for code, _, _, tests in rows]


def test_every_code_that_is_cited_is_defined_and_every_defined_one_is_cited() -> None:
    codes = [code for code, _ in stories()]
    assert len(codes) == len(set(codes)), "a code is defined twice"
    where = cited()
    assert {code: where[code] for code in where.keys() - codes} == {}, "cited, but not defined in docs/failures.md"
    assert {code for code in codes if not any(path.endswith(".py") for path in where.get(code, ()))} == set()


def test_every_story_names_tests_that_exist() -> None:
    for code, tests in stories():
        assert tests, f"{code} names no test"
        for name in tests:
            module, _, function = name.partition("::")
            path = ROOT / "tests" / module
            assert path.is_file(), f"{code} names tests/{module}, which does not exist"
            assert function in names_of_tests(path), f"{code}: tests/{module} has no {function}"
