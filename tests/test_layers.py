"""The map of docs/architecture.md stays true: imports point up it, and each library has one door."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import biobot

PACKAGE = Path(biobot.__file__).parent
PAGE = PACKAGE.parent / "docs" / "architecture.md"
ORDER = [
    *(
        "redact",
        "errors",
        "candidate",
        "storage",
        "bundled",
        "text",
        "settings",
        "config",
        "corpus",
        "dedupe",
        "model",
        "sampling",
        "filters",
        "taste",
    ),
    *("evaluation", "networks", "rehearsal", "posting", "collect", "worker", "app", "daemon", "web", "demo", "cli"),
]
DOORS = {
    "torch": ("model", "sampling", "evaluation"),
    "matplotlib": ("evaluation",),
    "tweepy": ("networks",),
    "pluggy": ("filters",),
    "apscheduler": ("posting", "daemon"),
    "starlette": ("web",),
    "click": ("cli",),
    "wcwidth": ("text",),
}


def layer(module: str) -> str:
    """Name the line of the map that `biobot.a.b` belongs to."""
    return module.split(".")[1] if "." in module else ""


def imports() -> Iterator[tuple[str, str]]:
    """Yield (importing module, imported module) for every import statement in the package."""
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        here = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((here, each.name) for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{here}: relative imports hide the map"
                module = node.module or ""
                named = [f"{module}.{each.name}" for each in node.names] if module == "biobot" else [module]
                yield from ((here, each) for each in named)


def test_imports_point_up_the_map() -> None:
    for here, there in imports():
        if there.startswith("biobot.") and layer(here) and layer(there) != layer(here):
            if layer(there) in ("__version__", "hookimpl", *biobot.__all__) or layer(here) in ("__main__", "testing"):
                continue
            assert ORDER.index(layer(there)) < ORDER.index(layer(here)), f"{here} imports {there}, which lies below it"


def test_every_package_and_module_is_on_the_map() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found - {"__init__", "__main__", "testing"} == set(ORDER)


def test_each_library_has_one_door() -> None:
    for here, there in imports():
        library = there.split(".")[0]
        if library in DOORS:
            assert layer(here) in DOORS[library], f"{here} imports {library}"


def test_the_page_draws_this_very_map() -> None:
    page = PAGE.read_text(encoding="utf-8")
    drawn = re.findall(r"^    (\w+)/? .*?(?:\[(\w+)\])?$", page.partition("\n## ")[0], re.MULTILINE)
    assert [name for name, _ in drawn] == ORDER
    for name, library in drawn:
        assert not library or name in DOORS[library], f"{name} is no door of {library}"


def test_every_module_below_the_daemon_that_reads_a_clock_is_on_the_page() -> None:
    listed = re.findall(
        r"^\| `([\w/]+)` \|", PAGE.read_text(encoding="utf-8").partition("## Where clocks")[2], re.MULTILINE
    )
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("").as_posix()
        clocks = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text("utf-8"))) if _is_clock(node)}
        if clocks and module.split("/")[0] in ORDER[: ORDER.index("daemon")]:
            assert module in listed, f"{module} reads {clocks}"
    assert all((PACKAGE / f"{module}.py").is_file() for module in listed)


def _is_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    named = {
        "time": ("time", "monotonic", "perf_counter", "process_time", "thread_time", "sleep"),
        "datetime": ("now",),
    }
    return node.attr in named.get(node.value.id, ())
