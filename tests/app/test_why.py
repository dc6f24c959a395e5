"""`biobot why`: a text is drawn again with everything that its row records about how it was drawn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from biobot.app import health
from biobot.config import Config, load
from biobot.errors import OutboxError
from biobot.posting import transitions
from biobot.posting.drafts import SamplingRecord, request, to_draft
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.sampling.controls import Controls
from biobot.worker.client import Worker
from biobot.worker.protocol import Preview

pytestmark = pytest.mark.usefixtures("worker_here")

CONTROLS = Controls(top_p=0.7, min_p=0.02, prefix="Crêp".encode()[:3], max_bytes=50)


@pytest.fixture
def config(bot: Callable[[str], Path], home: Path, tiny_model: Path) -> Config:
    shutil.copytree(tiny_model, home / "models" / "tiny")
    bot('[model]\nname = "tiny"\n')
    return load()


def add(config: Config, draft: Draft) -> int:
    with Outbox(config.home / "outbox.db", config.settings.post.first) as outbox:
        (row,) = outbox.add([draft], State.APPROVED, datetime.now(UTC))
    assert row is not None
    return row.id


def drawn(config: Config, controls: Controls = CONTROLS) -> Draft:
    """Draw a bio, as the console's lab does, and make a draft of it."""
    (verdict,) = Worker(config).ask(Preview((0.9,), 1, 77, controls, filters=False))
    return to_draft(verdict, None, controls)


def test_a_draft_with_prefix_and_top_p_is_drawn_again_bit_for_bit(config: Config) -> None:
    draft = drawn(config)
    found = health.why(config, add(config, draft))
    assert (found["same"], found["drawn_again"], found["note"]) == (True, draft.text, "")
    assert "redrawn: the same text" in list(health.story_lines(found))
    record = SamplingRecord.read(draft.controls)
    assert record.controls == CONTROLS
    assert str(record.numerics).count(",") == 2
    assert record.bits_per_byte == pytest.approx(float(record.bits or 0) / (len(draft.text.encode()) + 1))


def test_the_choice_of_a_draft_is_made_again(bot: Callable[[str], Path]) -> None:
    bot("[sample]\nbest_of = 8\n[taste]\nvariety = 0\n")
    config = load()
    (found,) = Worker(config).draw([request(config, "manual 1", None)])
    assert found.verdict is not None
    row = add(config, to_draft(found.verdict, None, drawn=found))
    told = health.why(config, row)
    taste = told["taste"]
    assert (taste["rank"], taste["of"]) == (1, found.accepted)
    assert taste["best"][0]["text"] == found.verdict.candidate.text
    assert taste["best"][0]["score"] == pytest.approx(found.verdict.score, abs=1e-3)
    assert "drawn again, number 1 of 8 accepted ones by score alone; the best:" in list(health.story_lines(told))


def test_other_arithmetic_is_named_and_nothing_is_guessed(config: Config) -> None:
    draft = drawn(config)
    facts = json.loads(draft.controls)
    here = facts["kind"]
    facts["kind"] = "bfloat16, SOME CARD, torch 1.0"
    found = health.why(config, add(config, Draft("other", None, 0.9, 77, "tiny", json.dumps(facts))))
    assert found["same"] is False
    assert found["note"].startswith("it was drawn with bfloat16, SOME CARD, torch 1.0; here it is bfloat16, ")
    facts["kind"] = here
    found = health.why(config, add(config, Draft("and another", None, 0.9, 77, "tiny", json.dumps(facts))))
    assert found["note"] == "with everything on record the same, so the model's file or biobot itself has changed since"
    del facts["kind"]
    found = health.why(config, add(config, Draft("a third", None, 0.9, 77, "tiny", json.dumps(facts))))
    assert found["note"].startswith("the arithmetic it was drawn with is not on record")


@pytest.mark.parametrize(
    ("facts", "controls"),
    [
        ({}, Controls()),
        ({"bits_per_byte": 2.5}, Controls()),
        ({"bits_per_byte": 2.5, "top_p": 0.7}, Controls(top_p=0.7)),
        ({"bits_per_byte": 2.5, "top_p": 0.7, "prefix": "Mo"}, Controls(top_p=0.7, prefix=b"Mo")),
        (
            {
                "top_p": 1.0,
                "min_p": 0.1,
                "prefix": "",
                "max_bytes": 40,
                "kind": "float32, DEFAULT, torch 2",
                "bits": 3.0,
            },
            Controls(min_p=0.1, max_bytes=40),
        ),
    ],
)
def test_the_rows_of_earlier_versions_are_read(config: Config, facts: dict[str, Any], controls: Controls) -> None:
    assert SamplingRecord.read(json.dumps(facts)).controls == controls
    if "kind" not in facts:  # with the number type of that row it may be another text
        text = drawn(config, controls).text
        found = health.why(config, add(config, Draft(text, None, 0.9, 77, "tiny", json.dumps(facts))))
        assert found["same"] is True


@pytest.mark.parametrize("text", ["", "[1]", '{"top_p": 7}', '{"top_p": "much"}', '{"prefix": 3}'])
def test_a_row_that_records_nonsense_says_so(config: Config, text: str) -> None:
    with pytest.raises(OutboxError, match="the row does not say how its text was drawn"):
        SamplingRecord.read(text)
    if text.startswith("{"):
        found = health.why(config, add(config, Draft("some text", None, 0.9, 77, "tiny", text)))
        assert found["same"] is None
        assert "could not be drawn again: the row does not say" in found["note"]


def test_an_edited_text_and_one_whose_model_is_gone_say_that(config: Config) -> None:
    post = add(config, drawn(config))
    with Outbox(config.home / "outbox.db", config.settings.post.first) as outbox:
        transitions.edit(outbox, post, "a person's words", datetime.now(UTC))
    assert health.why(config, post)["note"] == "a person has edited it"
    shutil.rmtree(config.home / "models" / "tiny")
    assert health.why(config, post)["note"] == "the model tiny is no longer here"
