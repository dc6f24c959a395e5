"""Workers as children: what they answer, what they know, how they end, and that no plugin comes between."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.app.doctor import check_all
from biobot.candidate import Candidate, DraftRequest, Verdict
from biobot.config import load
from biobot.errors import ConfigError, PluginError, SampleError
from biobot.sampling.controls import Controls
from biobot.worker.client import Call, Worker
from biobot.worker.double import FakeWorker
from biobot.worker.protocol import Draw, Judge, LoadPlugins, Preview, Replay, Text

FINE = "A baker who dreams of slow trains and warm evenings"
FILTERS = '["length", "dedupe", "profanity", "links", "mentions", "private"]'


@pytest.fixture
def folder(bot: Callable[[str], Path], tiny_model: Path) -> Path:
    return bot(f'[model]\nname = "{tiny_model}"\n')


@pytest.fixture
def plugin(folder: Path) -> Callable[..., None]:
    def write(body: str, name: str = "own") -> None:
        (folder / "plugins" / f"{name}.py").write_text(f"from biobot import hookimpl\n{body}", encoding="utf-8")

    return write


Plugin = Callable[..., None]


def without_filters(folder: Path, more: str = "") -> None:
    config = folder / "biobot.toml"
    config.write_text(f"{config.read_text()}[filters]\nrequired = []\ndisabled = {FILTERS}\n{more}")


def wanted(name: str, tries: int = 50, temperature: float = 1.0, seed: int = 7) -> DraftRequest:
    return DraftRequest(name, temperature, seed, tries)


def filtering(body: str) -> str:
    return f"@hookimpl\ndef biobot_filter(candidate):\n    {body}\n"


# -- what they answer --------------------------------------------------------------------------------


def test_each_request_gets_its_first_accepted_candidate_and_the_count_of_those_refused(
    folder: Path, plugin: Plugin
) -> None:
    without_filters(folder, "[sample]\nbest_of = 1\n")
    plugin(filtering("return None if candidate.seed % 3 == 0 else 'not a third one'"))
    found = list(Worker(load()).draw([wanted("a"), wanted("b", tries=2, seed=10), wanted("c", seed=12)]))
    assert [(each.request, each.tries, each.refused) for each in found] == [
        ("a", 3, {"own": 2}),
        ("b", 2, {"own": 2}),
        ("c", 1, {}),
    ]
    seeds = [each.verdict and each.verdict.candidate.seed for each in found]
    assert seeds == [9, None, 12]
    assert found[1].reason == "all 2 drafts were refused: own 2"
    assert found[0].verdict is not None
    assert "torch" in str(found[0].verdict.candidate.numerics)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: pass", "own: took longer than 0.1 s and was cut off"),
        ("1 / 0", "own: failed: ZeroDivisionError: division by zero"),
        ("return candidate", "own: answered Candidate, not a reason or None"),
    ],
)
def test_f22_a_filter_that_fails_on_every_text_is_named_long_before_the_deadline(
    folder: Path, plugin: Plugin, body: str, said: str
) -> None:
    without_filters(folder, 'timeout = "100ms"\n')
    plugin(filtering(body))
    with pytest.raises(SampleError, match=f"^drawing bios failed: {re.escape(said)} .on each of 10 bios.; nothing is"):
        list(Worker(load()).draw([wanted("a", tries=400)]))
    (found,) = (each for each in check_all(load(), datetime.now(UTC)) if each.name == "filters")
    assert (found.ok, found.found.partition(";")[0]) == (False, said)


@pytest.mark.usefixtures("worker_here")
def test_a_filter_that_fails_on_some_texts_is_no_reason_to_stop(folder: Path, plugin: Plugin) -> None:
    without_filters(folder, "[sample]\nbest_of = 1\n")
    plugin(filtering("return 1 / (candidate.seed % 20) and 'no'") + "    return None if candidate.seed == 40 else 'no'")
    (found,) = Worker(load()).draw([wanted("a", seed=25)])
    assert (found.verdict, found.refused) == (None, {"own": 50})


@pytest.mark.usefixtures("worker_here")
@pytest.mark.parametrize(("best_of", "tries", "won"), [(1, 50, 9), (3, 50, 12), (3, 4, 9), (3, 8, 12)])
def test_where_a_plugin_scores_the_best_of_some_accepted_candidates_is_chosen(
    folder: Path, plugin: Plugin, best_of: int, tries: int, won: int
) -> None:
    without_filters(folder, f"[sample]\nbest_of = {best_of}\n[taste]\nenabled = false\n")
    plugin(
        filtering("return 'odd' if candidate.seed % 3 else None")
        + "@hookimpl\ndef biobot_score(candidate):\n    return -abs(candidate.seed - 12)\n"
    )
    (found,) = Worker(load()).draw([wanted("a", tries)])
    assert found.verdict is not None
    assert found.verdict.candidate.seed == won


@pytest.mark.usefixtures("worker_here")
@pytest.mark.parametrize("answer", ["'fine'", "float('nan')", "None"])
def test_a_score_that_is_no_number_is_one_clear_line(folder: Path, plugin: Plugin, answer: str) -> None:
    without_filters(folder, "[sample]\nbest_of = 2\n[taste]\nenabled = false\n")
    plugin(f"@hookimpl\ndef biobot_score(candidate):\n    return {answer}\n")
    with pytest.raises(SampleError, match=r"^drawing bios failed: the plugin own cannot score: [^\n]*$"):
        list(Worker(load()).draw([wanted("a")]))


@pytest.mark.usefixtures("worker_here")
def test_a_replay_is_the_same_bio_to_the_last_bit_whatever_the_plugins_say(plugin: Plugin) -> None:
    worker = Worker(load())
    model = worker.config.settings.model.name
    controls = Controls(top_p=0.8, min_p=0.01, prefix=b"Mo", max_bytes=40)
    drawn = [each.candidate for each in worker.ask(Preview((0.7,), 3, 50, controls, filters=False))]
    plugin("1 / 0")
    for each in drawn:
        assert each.text.startswith("Mo")
        assert worker.answer(Replay(model, 0.7, each.seed or 0, controls, each.numerics)) == each
        assert worker.answer(Replay(model, 0.7, each.seed or 0)).text != each.text


@pytest.mark.usefixtures("folder", "worker_here")
def test_a_replay_computes_with_the_numbers_that_are_on_record() -> None:
    worker = Worker(load())
    model = worker.config.settings.model.name
    for numbers in ("float32", "bfloat16"):
        again = worker.answer(Replay(model, 0.8, 5, numerics=f"{numbers}, some other machine"))
        assert str(again.numerics).startswith(f"{numbers}, ")
        assert "some other machine" not in str(again.numerics)


def test_the_verdict_must_be_on_the_text_that_was_sent(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(FakeWorker, "_verdict", lambda *_: Verdict(Candidate("another text")))
    with pytest.raises(PluginError, match="another text was judged; a text that was not judged is not posted"):
        FakeWorker(load()).judge(FINE)


# -- what they know ----------------------------------------------------------------------------------


def test_a_worker_knows_no_secret_and_imports_nothing_from_the_current_folder(
    folder: Path, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(
        "import json, os, sys\nfrom pathlib import Path\n"
        + filtering(
            "Path('spied').write_text(json.dumps([sorted(os.environ), [os.path.realpath(each) for each in sys.path]]))"
        )
    )
    for name in ("X_API_SECRET", "BLUESKY_APP_PASSWORD", "MASTODON_ACCESS_TOKEN", "ANY_OTHER"):
        monkeypatch.setenv(f"BIOBOT_{name}", "do not tell")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", str(folder), str(folder / "lib")]))
    (folder / "tomllib.py").write_text("raise SystemExit('imported from the current folder')")
    assert Worker(load()).judge(FINE) == []
    environ, path = json.loads((folder / "spied").read_text())
    assert [name for name in environ if "BIOBOT" in name or "CREDENTIALS" in name] == []
    assert str(folder) not in path
    assert str(folder / "lib") in path


# -- plugins that print ------------------------------------------------------------------------------

CHATTER = """import os, subprocess, sys, threading
print("at import")
subprocess.run(["echo", "from a child at import"])
subprocess.Popen(["sh", "-c", "sleep 0.1; echo late"])
print('{"Done": {}}')

@hookimpl
def biobot_filter(candidate):
    print("in the call")
    os.system("echo from a child; echo to the other >&2")
    threading.Timer(0.01, print, ["from a thread"]).start()
"""


def test_what_a_plugin_prints_is_logged_with_its_name_and_never_an_answer(
    folder: Path, plugin: Plugin, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    without_filters(folder)
    plugin(CHATTER, "chatty")
    assert Worker(load()).judge(FINE) == []
    (drawn,) = Worker(load()).draw([wanted("a")])
    assert drawn.verdict is not None
    said = [record.getMessage() for record in caplog.records if record.name == "biobot"]
    for words in ("at import", "from a child at import", '{"Done": {}}', "in the call", "from a child", "to the other"):
        assert said.count(f"plugin chatty: {words}") >= 2, said
    assert capfd.readouterr() == ("", "")


# -- how they end ------------------------------------------------------------------------------------

SPY = """import json, os, subprocess, time
from pathlib import Path

@hookimpl
def biobot_filter(candidate):
    child = subprocess.Popen(["sleep", "1000"])
    Path("half").write_text(json.dumps([os.getpid(), child.pid]))
    Path("half").rename("pids")
    {more}
"""


def gone(pid: int) -> bool:
    """Wait, for at most some seconds, until a process has ended (a zombie has)."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def pids(folder: Path) -> list[int]:
    """Wait for the plugin above to be called; return the worker's id and that of a process it started."""
    for _ in range(1200):
        if (folder / "pids").exists():
            return list(json.loads((folder / "pids").read_text()))
        time.sleep(0.05)
    raise AssertionError("the plugin was not called")


def test_f45_a_worker_dies_with_its_parent_whatever_it_is_doing(folder: Path, plugin: Plugin) -> None:
    plugin(SPY.replace("{more}", "while True: pass"))
    (folder / "biobot.toml").write_text((folder / "biobot.toml").read_text() + '[filters]\ntimeout = "60s"\n')
    program = (
        f"from biobot.config import load\nfrom biobot.worker.client import Worker\nWorker(load()).judge({FINE!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as parent:
        worker, _ = pids(folder)
        parent.send_signal(signal.SIGKILL)
    assert gone(worker)


def test_a_worker_that_is_late_is_killed_with_all_that_it_started(folder: Path, plugin: Plugin) -> None:
    plugin(SPY.replace("{more}", "time.sleep(1000)"))
    (folder / "biobot.toml").write_text(
        (folder / "biobot.toml").read_text() + '[filters]\ntimeout = "60s"\n[sample]\ndeadline = "3s"\n'
    )
    with pytest.raises(PluginError, match=r"judging the text took longer than 3 s \(sample.deadline\) and was stopped"):
        Worker(load()).judge(FINE)
    assert all(map(gone, pids(folder)))
    with pytest.raises(SampleError, match=r"drawing bios took longer than 0.1 s and was stopped"):
        list(Worker(load()).ask(Draw((wanted("a"),)), timedelta(seconds=0.1)))


def test_a_worker_whose_answers_nobody_wants_any_more_is_killed(folder: Path, plugin: Plugin) -> None:
    plugin(SPY.replace("{more}", "return 'no'"))
    answers = iter(Worker(load()).ask(Preview((1.0,), 10**6, 0)))
    next(answers)
    worker, started = pids(folder)
    answers.close()  # type: ignore[attr-defined]
    assert gone(worker)
    assert gone(started)


def test_closing_a_call_ends_the_wait_of_another_thread(folder: Path, plugin: Plugin) -> None:
    plugin(SPY.replace("{more}", "time.sleep(1000)"))
    (folder / "biobot.toml").write_text((folder / "biobot.toml").read_text() + '[filters]\ntimeout = "60s"\n')
    call: Call[Verdict] = Worker(load()).ask(Judge((Text(FINE),)))

    def receive() -> None:
        with pytest.raises(SampleError):
            call.receive()

    waiting = threading.Thread(target=receive)
    waiting.start()
    pids(folder)
    call.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert call.receive() is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(0)", "the worker ended with status 0"),
        ("import os; os.write(2, b'the disk is on fire'); os._exit(3)", "status 3 (the disk is on fire)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL (is there enough memory?)"),
        ("import os; os.closerange(3, 999)\n    import time; time.sleep(60)", "the worker ended with status 1"),
    ],
)
def test_a_worker_that_a_plugin_ends_has_not_judged(folder: Path, plugin: Plugin, body: str, said: str) -> None:
    plugin(filtering(body))
    with pytest.raises(PluginError) as caught:
        Worker(load()).judge(FINE)
    assert said in str(caught.value)
    assert "while the plugin own judged a text; fix it" in str(caught.value)
    assert str(caught.value).endswith("; a text that was not judged is not posted")


@pytest.mark.parametrize(
    "body", ["import sys; sys.exit(0)", "import sys; sys.stdout.close()", "import os; os.close(1); print('?')"]
)
def test_what_a_plugin_breaks_for_itself_spoils_no_verdict(folder: Path, plugin: Plugin, body: str) -> None:
    plugin(filtering(body), "a_first")
    plugin(filtering("return 'no'"), "second")
    assert "second: no" in Worker(load()).judge(FINE)


def test_a_worker_says_why_it_cannot(folder: Path, plugin: Plugin) -> None:
    with pytest.raises(SampleError, match="there is no model 'nowhere'"):
        list(Worker(load()).ask(Preview((1.0,), 1, 0, model="nowhere")))
    without_filters(folder, "[filters.own]\nmni = 3\n")
    plugin(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Own:\n    min: int = 3\n"
        "@hookimpl\ndef biobot_settings():\n    return Own\n"
    )
    with pytest.raises(ConfigError, match=r"loading the plugins failed: .*filters.own.mni: there is no such key"):
        list(Worker(load()).ask(LoadPlugins()))
