"""The codec: what crosses the process boundary arrives as it was, and nothing else is let in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobot.candidate import Candidate, DraftRequest, DraftResult, Objection, Verdict
from biobot.errors import SampleError
from biobot.sampling.controls import Controls
from biobot.worker import protocol
from biobot.worker.protocol import ProtocolError, decode, encode

VERDICT = Verdict(
    Candidate("né\ud83d\n", 0.8, 2**62, 12.5, 1.0, "m", "float32", (1.0, 0.5), (0.0, 1e-300), 0.1, cut=True),
    (Objection("length", "too short"), Objection("links", "")),
    (("length", 1e-5), ("links", 0.25)),
    -3.5,
)
MESSAGES: list[Any] = [
    *(
        protocol.Done(),
        protocol.Failed("no", 2),
        protocol.Log(30, "a\u2028b"),
        protocol.Loaded("x", ("biobot_filter",)),
    ),
    *(VERDICT, VERDICT.candidate, Verdict(Candidate(""))),
    *(DraftResult("a", VERDICT, 3, {"length": 2}), DraftResult("b", None, 400, {})),
    protocol.Chosen((protocol.Scored("a", 1.5),)),
    protocol.Learnt("The shipped taste is in use."),
    protocol.Figures({"temperature": 0.8, "objections": {"length": 0.5}, "tries": None}),
    *(
        protocol.Task(config, "/h", request)
        for config in (None, "/b.toml")
        for request in (
            protocol.Draw((DraftRequest("a", 1.0, 7, 400),)),
            protocol.Preview((0.6, 1.0), 5, 7, Controls(0.9, 0.1, b"caf\xc3", 60), "m", filters=False),
            protocol.Judge((protocol.Text("a"), protocol.Text("b\udcff", "7")), score=True),
            protocol.Replay("m", 0.0, 0),
            protocol.Explain(Candidate("a", bits=1.5)),
            protocol.Choice("m", 0.8, 7, 160, "3"),
            protocol.LearnTaste(),
            protocol.Sweep(),
            protocol.LoadPlugins(),
        )
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_arrives_as_it_was(message: Any) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line, protocol.Done, type(message)) == message
    with pytest.raises(ProtocolError, match="is no Report"):
        decode(line, type("Report", (), {}))


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(), st.binary(max_size=9))
def test_floats_texts_and_bytes_arrive_to_the_last_bit(number: float, text: str, prefix: bytes) -> None:
    candidate = Candidate(text, bits=number)
    assert repr(decode(encode(candidate), Candidate)) == repr(candidate)
    replay = protocol.Replay("m", 0.5, 1, Controls(prefix=prefix))
    assert decode(encode(replay), protocol.Replay) == replay


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello\n",
        b'{"Verdict": ',
        b'{"Verdict": [1]}',
        b'{"Verdict": {}}',
        b'{"Verdict": {"candidate": null}}',
        b'{"Verdict": {"candidate": {"Objection": {"filter": "a", "reason": "b"}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": 7}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a", "bits": NaN}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a", "bits": 1e999}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a", "bits": true}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a", "seed": 1.5}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a", "colour": "red"}}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a"}}, "objections": {"a": 1}}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a"}}, "seconds": [["a", 1, 2]]}}',
        b'{"Verdict": {"candidate": {"Candidate": {"text": "a"}}}, "Done": {}}',
        b'{"Verdict": ' + b'{"a":' * 200_000,
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line, Verdict, protocol.Done)


def test_what_the_sampler_cannot_do_is_refused_in_its_words() -> None:
    line = encode(protocol.Preview((1.0,), 1, 0)).replace(b'"top_p": 1.0', b'"top_p": 7.0')
    with pytest.raises(SampleError, match=r"top-p 7\.0 is not"):
        decode(line, protocol.Preview)
