"""Drawing: each bio as if it were alone, from the very distribution that the model gives, always text."""

from __future__ import annotations

import math
import resource
import threading
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import torch

from biobot import bundled
from biobot.candidate import Candidate
from biobot.errors import ModelError, SampleError
from biobot.model import checkpoint as files
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import STOP
from biobot.sampling.controls import Controls, Request
from biobot.sampling.sampler import Sampler
from biobot.sampling.stepper import NumericKind, Stepper
from biobot.text.graphemes import whole
from biobot.text.unicode_policy import UNSAMPLED
from tests.conftest import made_up_bios
from tests.sampling.made import EVERY, checkpoint


def draw(engine: Sampler, seeds: range, temperature: float = 0.8, **controls: object) -> list[Candidate]:
    return list(engine.draw((Request(seed, temperature) for seed in seeds), Controls(**controls)))  # type: ignore[arg-type]


KINDS: tuple[NumericKind, NumericKind] = ("float32", "bfloat16")
SHORT = Controls(max_bytes=60)


@pytest.fixture(scope="module")
def engine() -> Sampler:
    return Sampler(checkpoint(EVERY), rows=64)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# -- alone or among others ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "hidden", "layers", "skip", "ngram_buckets"),
    [
        ("bfloat16", 128, 3, True, 0),
        ("bfloat16", 128, 3, False, 500),
        ("float32", 128, 3, False, 0),
        ("float32", 384, 2, True, 500),
    ],
)
def test_a_bio_is_the_same_in_every_batch_and_at_every_thread_count(  # F37
    kind: NumericKind, hidden: int, layers: int, skip: bool, ngram_buckets: int, threads: None
) -> None:
    made = checkpoint(EVERY, hidden, layers, skip=skip, ngram_buckets=ngram_buckets)
    torch.set_num_threads(1)
    alone = draw(Sampler(made, rows=1, kind=kind), range(100, 110), max_bytes=16)
    for count in (1, 2):
        torch.set_num_threads(count)
        for rows, seeds in ((1, range(100, 103)), (7, range(95, 120)), (64, range(60, 140)), (512, range(520))):
            found = {each.seed: each for each in draw(Sampler(made, rows=rows, kind=kind), seeds, max_bytes=16)}
            assert [found[each.seed] for each in alone if each.seed in seeds] == [e for e in alone if e.seed in seeds]


def test_a_bio_alone_is_drawn_by_one_thread_and_the_others_are_given_back(engine: Sampler, threads: None) -> None:
    torch.set_num_threads(2)
    bios = engine.draw([Request(1, 0.8), Request(2, 0.8)], Controls(max_bytes=16))
    next(bios)
    assert isinstance(bios, Generator)
    assert torch.get_num_threads() == 1
    bios.close()
    assert torch.get_num_threads() == 2


def test_bios_leave_in_the_order_of_their_requests_which_are_taken_only_when_there_is_room(engine: Sampler) -> None:
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for seed in range(1000):
            taken.append(seed)
            yield Request(seed, 1.0)

    first = [sample.seed for sample, _ in zip(engine.draw(requests(), SHORT), range(10), strict=False)]
    assert first == list(range(10))
    assert len(taken) < 1000


def test_temperatures_mix_in_one_batch_and_neighbouring_seeds_have_nothing_in_common(engine: Sampler) -> None:
    mixed = list(engine.draw((Request(seed, t) for seed in range(20) for t in (0.0, 0.5, 1.0)), SHORT))
    assert [each for each in mixed if each.temperature == 0.5] == draw(engine, range(20), 0.5, max_bytes=60)
    assert len({each.text for each in mixed if each.temperature == 1.0}) == 20


def test_two_draws_on_one_engine_do_not_disturb_each_other(engine: Sampler, threads: None) -> None:
    torch.set_num_threads(2)
    first = engine.draw((Request(seed, 1.0) for seed in range(100)), SHORT)
    begun = [next(first)]
    others = draw(engine, range(40), max_bytes=60)
    assert [*begun, *first] == draw(engine, range(100), 1.0, max_bytes=60)
    assert others == draw(engine, range(40), max_bytes=60)


def test_draws_that_end_early_or_fail_leave_no_thread_behind(engine: Sampler, threads: None) -> None:
    torch.set_num_threads(2)
    taken: list[int] = []

    def requests(count: int) -> Iterator[Request]:
        for seed in range(count):
            taken.append(seed)
            yield Request(seed, 1.0)
        raise OSError("no more requests")

    bios = engine.draw(requests(1000), SHORT)
    next(bios)
    assert drawing() == 2
    bios.close()  # type: ignore[attr-defined]
    assert drawing() == 0
    assert len(taken) < 500
    with pytest.raises(OSError, match="no more requests"):
        list(engine.draw(requests(100), SHORT))
    assert drawing() == 0
    assert torch.get_num_threads() == 2


def drawing() -> int:
    """Return how many threads draw, once those that have ended are gone."""
    for each in threading.enumerate():
        if each.name == "draw":
            each.join(0.05)
    return sum(each.name == "draw" for each in threading.enumerate())


# -- the distribution --------------------------------------------------------------------------------


def exact(made: Checkpoint, temperature: float, limit: int, top_p: float = 1.0, min_p: float = 0.0) -> dict[str, float]:
    """Return each text's probability by trying everything, one by one: softmax(z / T) over what Python can decode."""
    chances: defaultdict[str, float] = defaultdict(float)

    def fits(raw: bytes) -> bool:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data"
        return True

    def walk(raw: bytes, so_far: float) -> None:
        if len(raw) > limit:  # what would have come instead of the stop is not kept
            chances[raw[:limit].decode(errors="ignore")] += so_far
            return
        with torch.no_grad():
            logits = made.model(torch.tensor([[STOP, *made.codec.encode(raw)]]))[0][0, -1]
        whole = raw.decode(errors="ignore").encode() == raw
        possible = {
            bytes([value]): code for code, value in enumerate(made.codec.values, 1) if fits(raw + bytes([value]))
        }
        if whole and raw.strip():
            possible[b""] = STOP
        weights = torch.softmax(logits[list(possible.values())].double() / temperature, 0)
        weights[weights < min_p * weights.max()] = 0
        order = weights.argsort(descending=True)
        before = weights[order].cumsum(0) - weights[order]
        weights[order[before >= top_p * weights.sum()]] = 0
        for (byte, code), chance in zip(possible.items(), (weights / weights.sum()).tolist(), strict=True):
            if code == STOP:
                chances[raw.decode()] += so_far * chance
            elif chance:
                walk(raw + byte, so_far * chance)

    walk(b"", 1.0)
    return chances


@pytest.mark.parametrize(
    ("temperature", "top_p", "min_p", "skip"),
    [
        (1.0, 1.0, 0.0, False),
        (0.5, 1.0, 0.0, False),
        (2.0, 1.0, 0.0, True),
        (1.0, 0.7, 0.0, True),
        (1.0, 1.0, 0.2, False),
        (1.0, 1.0, 0.0, True),
    ],
)
def test_batched_draws_follow_the_distribution_that_trying_everything_gives(
    temperature: float, top_p: float, min_p: float, skip: bool
) -> None:
    made, count = checkpoint("ab é™".encode(), scale=2.0, skip=skip, ngram_buckets=50 if skip else 0), 8_000
    expected = exact(made, temperature, 3, top_p, min_p)
    assert math.isclose(sum(expected.values()), 1.0, rel_tol=1e-6)
    samples = draw(
        Sampler(made, rows=512, kind="float32"), range(count), temperature, max_bytes=3, top_p=top_p, min_p=min_p
    )
    found = Counter(each.text for each in samples)
    assert set(found) <= set(expected)
    common = {text for text, chance in expected.items() if chance * count >= 5}
    pairs = [(found[text], expected[text] * count) for text in common]
    pairs.append((count - sum(each for each, _ in pairs), max(count - sum(each for _, each in pairs), 1.0)))
    square = sum((seen - hoped) ** 2 / hoped for seen, hoped in pairs)
    freedom = len(pairs) - 1
    assert freedom >= 4
    assert square < freedom + 5 * math.sqrt(2 * freedom)


def test_bits_are_those_of_the_unmasked_model_and_entropies_those_of_softmax_of_z_over_t() -> None:
    made = checkpoint(EVERY.replace(b"\r", b""))  # which would come out as a line feed
    engine = Sampler(made, kind="float32")
    for sample in draw(engine, range(6), 0.7, max_bytes=80, prefix=b"Hi"):
        codes = made.codec.encode(sample.text.encode())
        with torch.no_grad():
            logits = made.model(torch.tensor([[STOP, *codes]]))[0][0].double()
        path = [*codes, STOP][: len(codes) + (not sample.cut)]
        chosen = logits.log_softmax(1)[range(len(path)), path]
        assert sample.bits == pytest.approx(-chosen.sum().item() / math.log(2), rel=1e-4)
        assert sample.probabilities[:2] == (1.0, 1.0)
        for at in range(2, len(codes)):
            allowed = engine.automaton.allowed(engine.automaton.follow(sample.text.encode()[:at]))
            shares = torch.softmax(logits[at, allowed] / 0.7, 0)
            assert sample.probabilities[at] == pytest.approx(shares[allowed.index(codes[at])].item(), rel=1e-3)
            assert sample.entropies[at] == pytest.approx(-(shares * shares.log2()).sum().item(), rel=1e-3)


def test_bfloat16_speaks_like_float32_on_a_trained_model() -> None:
    found = files.load(bundled.STARTER / "model.safetensors")
    codes = [[STOP, *found.codec.encode(bio.encode())[:39]] for bio in made_up_bios(400)]
    fed = torch.tensor([each for each in codes if len(each) == 40][:256])
    exactly, fast = (Stepper(found.model, len(fed), kind) for kind in KINDS)
    distances = []
    with torch.inference_mode():
        for column in fed.T:
            p, q = (each.step(column.contiguous()).log_softmax(1) for each in (exactly, fast))
            distances.append((p.exp() * (p - q)).sum(1) / math.log(2))
    distance = torch.stack(distances)
    assert distance.mean() <= 1e-4
    assert distance.max() <= 1e-2


# -- always text -------------------------------------------------------------------------------------


def test_whatever_the_model_says_what_comes_out_is_visible_text(engine: Sampler) -> None:  # F26
    for sample in draw(engine, range(200), 100.0, max_bytes=40):
        assert len(sample.text.encode()) == len(sample.probabilities) == len(sample.entropies) <= 40
        assert not any(first <= ord(each) <= last for each in sample.text for first, last in UNSAMPLED)
        assert "\r" not in sample.text
        assert sample.cut or sample.text.strip()
        assert sample.bits is not None
        assert sample.bits > 0
        assert sample.masked is not None
        assert 0 <= sample.masked < 1


def test_both_kinds_of_line_end_become_a_line_feed() -> None:
    made = checkpoint(b"a\r\n")
    samples = draw(Sampler(made, kind="float32"), range(60), 3.0, max_bytes=30)
    assert any("\n" in each.text for each in samples)
    assert all("\r" not in each.text and len(each.probabilities) == len(each.text) for each in samples)


@pytest.mark.parametrize(("letters", "limit"), [("🌻", 7), ("🇵🇹", 10), ("a\u200d", 6)])
def test_a_cut_bio_keeps_its_last_whole_grapheme(letters: str, limit: int) -> None:
    samples = draw(Sampler(checkpoint(letters.encode()), kind="float32"), range(80), 1.0, max_bytes=limit)
    cut = [sample.text for sample in samples if sample.cut]
    assert cut
    assert all(len(text.encode()) <= limit and whole(text.encode()) == text for text in cut)


# -- odd wishes --------------------------------------------------------------------------------------


def test_zero_is_the_argmax_and_almost_zero_too(engine: Sampler) -> None:  # F27
    first, *rest = draw(engine, range(5), 0.0, max_bytes=60)
    assert all(each.text == first.text for each in rest)
    assert {*first.probabilities} == {1.0}
    assert first.entropy == 0
    assert draw(engine, range(1), 1e-6, max_bytes=60)[0].text == first.text
    assert draw(engine, range(1), 1e-300, max_bytes=60)[0].text == first.text


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf, 100.5])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:  # F27
    with pytest.raises(SampleError, match="is not a number from 0 to 100"):
        Request(0, temperature)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_damaged_model_is_a_clear_line(broken: float, temperature: float) -> None:  # F27
    made = checkpoint(EVERY)
    with torch.no_grad():
        made.model.linear.bias.fill_(broken)
    with pytest.raises(SampleError, match="weights are damaged"):
        draw(Sampler(made), range(3), temperature)


def test_one_logit_of_infinity_below_zero_is_a_byte_that_never_comes() -> None:  # F27
    made = checkpoint(b"abc")
    with torch.no_grad():
        made.model.linear.bias[made.codec.encode(b"b")[0]] = -math.inf
    assert all("b" not in each.text for each in draw(Sampler(made), range(50), 5.0, max_bytes=20))


def test_every_bio_begins_with_the_prefix(engine: Sampler) -> None:  # F28
    assert all(each.text.startswith("I am ") for each in draw(engine, range(20), prefix=b"I am ", max_bytes=30))
    assert draw(engine, range(3), prefix=b"", max_bytes=30) == draw(engine, range(3), max_bytes=30)


def test_a_prefix_may_end_inside_a_character(engine: Sampler) -> None:  # F28
    half = "🌻".encode()[:2]
    for sample in draw(engine, range(20), prefix=b"x" + half, max_bytes=30):
        assert sample.text[0] == "x"
        assert sample.text[1].encode().startswith(half)


def test_a_prefix_that_cannot_be_is_a_clear_line(engine: Sampler) -> None:  # F28
    for prefix, problem in (
        (b"\xff", "never seen"),
        (b"a\x80", "can never be drawn"),
        (b"\x1b[31m", "can never be drawn"),
    ):
        with pytest.raises((SampleError, ModelError), match=problem):
            draw(engine, range(1), prefix=prefix)
    with pytest.raises(SampleError, match="prefix has 9 bytes"):
        Controls(prefix=b"too long!", max_bytes=8)
    assert draw(engine, range(1), prefix=b"just fit", max_bytes=8)[0].text == "just fit"


@pytest.mark.parametrize(
    "wish", [{"top_p": 0.0}, {"top_p": math.nan}, {"min_p": -0.1}, {"min_p": 2.0}, {"max_bytes": 0}]
)
def test_controls_out_of_range_are_refused(wish: dict[str, float]) -> None:
    with pytest.raises(SampleError):
        Controls(**wish)  # type: ignore[arg-type]


# -- memory ------------------------------------------------------------------------------------------


def resident() -> int:
    """Read the bytes of memory that this process holds; where the system does not tell, the most it ever held."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def steady(count: int, blocks: int, measure: Callable[[], int]) -> tuple[list[int], list[float]]:
    """Draw `count` bios in `blocks` blocks; return the memory and the CPU seconds per byte after each."""
    engine, memory, pace = Sampler(checkpoint(EVERY), rows=128), [], []
    samples = engine.draw((Request(seed, 0.8) for seed in range(count)), SHORT)
    start, size = time.process_time(), 0
    for number, sample in enumerate(samples, start=1):
        assert sample.text.encode()
        size += len(sample.probabilities)
        if number % (count // blocks) == 0:
            memory.append(measure())
            pace.append((time.process_time() - start) / size)
            start, size = time.process_time(), 0
    return memory, pace


def test_memory_stays_flat_over_thousands_of_bios(threads: None) -> None:  # F36
    torch.set_num_threads(1)
    tracemalloc.start()
    memory, _ = steady(1600, 4, lambda: tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert memory[-1] - memory[1] < 200_000  # keeping the bios would take a megabyte more


@pytest.mark.soak
def test_memory_and_pace_stay_flat_over_a_hundred_thousand_bios(threads: None) -> None:  # F36
    torch.set_num_threads(1)
    memory, pace = steady(100_000, 20, resident)
    assert max(memory[1:]) <= memory[1] * 1.05
    middle = sorted(pace)[len(pace) // 2]
    assert sorted(pace)[-3] <= middle * 1.25  # a shared machine may spoil a block or two
