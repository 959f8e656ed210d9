"""Nonces: ours alone, for a while, each count once."""

from __future__ import annotations

import random

import pytest

from greenbas.auth import nonces as module
from greenbas.auth.nonces import LIFETIME, RENEW_AFTER, WINDOW, Nonces


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_counts(clock: Clock) -> None:
    nonces = Nonces(clock=clock)
    nonce = nonces.issue()
    script = [
        (1, True), (1, False), (2, True), (5, True), (4, True), (4, False), (3, True), (2, False), (0, False),
        (5 + WINDOW, True), (6, True), (5, False), (4 + WINDOW, True), (1, False), (0xFFFFFFFF, True), (7, False),
    ]  # fmt: skip
    for count, expected in script:
        assert (nonces.use(nonce, f"{count:08x}", "ann") is not None) is expected, count


def test_every_count_once_in_any_order(clock: Clock) -> None:
    nonces = Nonces(clock=clock)
    nonce = nonces.issue()
    counts = list(range(1, WINDOW)) * 2
    random.Random(3).shuffle(counts)
    used = [count for count in counts if nonces.use(nonce, f"{count:08x}", "ann")]
    assert sorted(used) == list(range(1, WINDOW))


def test_they_differ(clock: Clock) -> None:
    nonces = Nonces(clock=clock)
    assert len({nonces.issue() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("seconds", [0.0, LIFETIME - 1, LIFETIME + 1])
def test_they_expire(clock: Clock, seconds: float) -> None:
    nonces = Nonces(clock=clock)
    fresh, used = nonces.issue(), nonces.issue()
    assert nonces.use(used, "00000001", "ann")
    clock.now += seconds
    alive = seconds < LIFETIME
    assert (nonces.use(fresh, "00000001", "ann") is not None) is alive
    assert (nonces.use(used, "00000002", "ann") is not None) is alive


def test_the_next_one_comes_in_time(clock: Clock) -> None:
    nonces = Nonces(clock=clock)
    used = nonces.use(nonces.issue(), "00000001", "ann")
    assert used is not None
    assert nonces.next_nonce(used) is None
    clock.now += RENEW_AFTER + 1
    following = nonces.next_nonce(used)
    assert following is not None
    assert nonces.use(following, "00000001", "ann")


def test_those_of_others(clock: Clock) -> None:
    nonces = Nonces(clock=clock)
    nonce = nonces.issue()
    swapped = nonce[:10] + ("A" if nonce[10] != "A" else "B") + nonce[11:]
    for wrong in ("", "x", "A" * len(nonce), Nonces(clock=clock).issue(), swapped, nonce + "A", nonce[:-1], " " + nonce,
                  "é" * 48, nonce[:-1] + "=", nonce[:-4] + "===="):  # fmt: skip
        assert nonces.use(wrong, "00000001", "ann") is None
    assert nonces.use(nonce, "00000001", "ann")
    assert nonces.use(nonce, "00000002", "bob") is None  # whoever has shown it first has it


def test_other_spellings_of_one_nonce_are_none(clock: Clock) -> None:
    nonces = Nonces(clock=clock)
    while True:
        nonce = nonces.issue()
        if "-" in nonce or "_" in nonce:
            break
    assert nonces.use(nonce.replace("-", "+").replace("_", "/"), "00000001", "ann") is None


def test_what_is_forgotten_cannot_be_used_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 10)
    nonces = Nonces(clock=clock)
    made = []
    for _ in range(30):
        clock.now += 0.5
        made.append(nonces.issue())
        assert nonces.use(made[-1], "00000001", "ann")
    for nonce in made:
        assert nonces.use(nonce, "00000001", "ann") is None
    assert nonces.use(made[-1], "00000002", "ann")
