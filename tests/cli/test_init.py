"""`biobot init`: a folder one can read, run and keep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from biobot import config
from biobot.cli.init_ import command


def test_the_folder_holds_the_whole_config_private_keys_and_an_example_filter(tmp_path: Path) -> None:
    answer = CliRunner().invoke(command, [str(tmp_path / "bot")])
    assert answer.exit_code == 0, answer.output
    folder = tmp_path / "bot"
    assert config.read(folder / "biobot.toml").post.first == "rehearsal"
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert "BIOBOT_X_API_KEY=" in (folder / ".env").read_text()
    compile((folder / "plugins" / "example.py").read_text(), "example.py", "exec")


def test_the_example_filter_works_once_its_comment_signs_are_taken_away(tmp_path: Path) -> None:
    CliRunner().invoke(command, [str(tmp_path)])
    text = (tmp_path / "plugins" / "example.py").read_text()
    names: dict[str, object] = {}
    exec(text.replace("\n# ", "\n").replace("\n#", "\n"), names)  # noqa: S102
    assert callable(names["biobot_filter"])


def test_what_is_already_there_stays(tmp_path: Path) -> None:
    (tmp_path / "biobot.toml").write_text("# mine\n")
    answer = CliRunner().invoke(command, [str(tmp_path)])
    assert (tmp_path / "biobot.toml").read_text() == "# mine\n"
    assert "kept " in answer.output


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = CliRunner().invoke(command, [str(tmp_path / "file" / "bot")])
    assert "cannot write" in str(answer.exception)


@pytest.mark.parametrize(
    ("locale", "code"), [("de_DE.UTF-8", "de"), ("C.UTF-8", "en"), ("", "en"), ("nb_NO", "no"), ("xx_XX", "en")]
)
def test_it_speaks_the_language_of_the_locale_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str, code: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    answer = CliRunner().invoke(command, [str(tmp_path)])
    assert config.read(tmp_path / "biobot.toml").filters.tables["language"] == {"languages": [code]}
    assert f'language: "{code}", from your locale' in answer.output


def test_git_leaves_keys_and_bios_alone(tmp_path: Path) -> None:
    CliRunner().invoke(command, [str(tmp_path)])
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "outbox.db").write_text("")
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)  # noqa: S607
    words = ["git", "ls-files"]
    listed = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert listed.splitlines() == [".gitignore", "biobot.toml", "plugins/example.py"]
