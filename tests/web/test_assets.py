"""What is vendored is what was published, with its licence; what is served is small and named by its content."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import biobot.web
from biobot.web.assets import Assets
from tests.web.conftest import Site

FOLDERS = [Path(biobot.web.__file__).parent / "static" / "vendor", Path(__file__).parent / "vendor"]


@pytest.mark.parametrize("folder", FOLDERS, ids=["shipped", "tests"])
def test_every_vendored_file_has_its_hash_and_its_licence(folder: Path) -> None:
    listed = re.findall(r"^\| (\S+) \| .*?, (\S+\.LICENSE) \| (\w{64}) \|$", (folder / "VENDORED.md").read_text(), re.M)
    for name, licence, digest in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
        assert (folder / licence).stat().st_size > 300, licence
    there = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css")}
    assert there == {name for name, _, _ in listed}


def test_an_asset_is_named_by_its_content_and_kept_for_a_year(site: Site) -> None:
    url = Assets().url("console.css")
    answer = site.stranger().get(url)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert site.stranger().get(url.replace("/static/", "/static/0")).status_code == 404


def test_nothing_that_the_pages_load_comes_from_elsewhere() -> None:
    for name, asset in Assets().by_name.items():
        if "htmx" not in name and "uplot" not in name:
            found = re.findall(rb"https?://[\w.]+", asset.data)
            assert set(found) <= {b"http://www.w3.org"}, name  # the name of SVG


def test_the_console_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, biobot.web.serve; sys.exit(' '.join({'torch', 'numpy'} & {*sys.modules}) or 0)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.returncode == 0
