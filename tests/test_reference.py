"""The reference pages name every command, option and key that there is, and no other; `make reference` writes them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_and_option_is_in_the_reference_and_no_other(generate: ModuleType) -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"^##+ (biobot [^\n]+)\n\n```text\n(.*?)\n```", page, re.MULTILINE | re.DOTALL))
    found = {words: (command, context) for words, command, context in generate.commands()}
    assert set(written) == set(found), "run `make reference`"
    for words, (command, _) in found.items():
        options = {each for param in command.params if isinstance(param, click.Option) for each in param.opts}
        missing = {each for each in options if not re.search(rf"{re.escape(each)}\b", written[words])}
        assert not missing, f"{words}: run `make reference`"


def test_every_key_is_in_the_reference_with_its_default(generate: ModuleType) -> None:
    def keys(page: str) -> list[str]:
        return re.findall(r"^(## .*|\| `\w+` \| `[^`]*` )", page, re.MULTILINE)

    assert keys((DOCS / "settings.md").read_text(encoding="utf-8")) == keys(generate.settings_page())


def test_every_command_has_a_man_page(generate: ModuleType) -> None:
    for words, command, context in generate.commands():
        page = generate.man_page(words, command, context)
        assert page.startswith(f'.TH "{words.upper().replace(" ", "-")}" 1\n.SH NAME\n')
        assert not re.search(r"^'", page, re.MULTILINE)


def test_every_page_of_the_documentation_is_in_the_site() -> None:
    listed = set(re.findall(r": ([\w/]+\.md)$", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
