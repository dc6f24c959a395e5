"""The map of docs/architecture.md stays true: imports point up it, and each library has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import biobot

PACKAGE = Path(biobot.__file__).parent
ORDER = [
    *(
        "errors",
        "candidate",
        "storage",
        "config",
        "bundled",
        "text",
        "corpus",
        "dedupe",
        "model",
        "sampling",
        "filters",
    ),
    *("filters", "evaluation", "networks", "rehearsal", "posting", "collect", "worker", "app", "daemon", "web"),
    *("demo", "cli"),
]
DOORS = {
    "torch": ("model", "sampling", "evaluation"),
    "matplotlib": ("evaluation",),
    "tweepy": ("networks",),
    "pluggy": ("filters",),
    "apscheduler": ("posting", "daemon"),
    "starlette": ("web",),
    "click": ("cli",),
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
