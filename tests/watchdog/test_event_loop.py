"""The loop: what is read before what is due, who is forgotten, how late it was, and that nothing is swallowed."""

import os
import signal

import pytest

from reconciler.watchdog.event_loop import EventLoop, monotonic_ms


@pytest.fixture
def loop() -> EventLoop:
    return EventLoop()


def test_moments_come_in_their_order_and_not_early(loop: EventLoop) -> None:
    came: list[tuple[str, int]] = []
    begun_ms = monotonic_ms()

    def note(name: str) -> None:
        came.append((name, monotonic_ms() - begun_ms))
        if name == "last":
            loop.stop()

    loop.at(begun_ms + 30, lambda: note("last"))
    loop.at(begun_ms + 10, lambda: note("first"))
    loop.at(begun_ms + 10, lambda: note("second"))
    loop.at(begun_ms + 20, lambda: note("never")).cancel()
    loop.run()
    assert [name for name, _ in came] == ["first", "second", "last"]
    assert all(at_ms >= due_ms for (_, at_ms), due_ms in zip(came, (10, 10, 30), strict=True))
    loop.close()


def test_what_arrived_is_read_before_the_moments_that_came(loop: EventLoop) -> None:
    came: list[str] = []
    near, far = os.pipe()
    os.write(far, b"x")
    loop.watch(near, lambda: came.append(os.read(near, 1).decode()))
    loop.at(monotonic_ms() - 1_000, lambda: came.append("moment"))
    loop.run_once()
    assert came == ["x", "moment"]
    assert loop.lateness_ms_max >= 1_000
    loop.close()
    os.close(near)
    os.close(far)


def test_a_descriptor_that_was_forgotten_in_the_same_round_is_not_served(loop: EventLoop) -> None:
    came: list[int] = []
    pipes = [os.pipe(), os.pipe()]

    def read(one: int, other: int) -> None:
        came.append(one)
        loop.unwatch(other)

    (near, far), (near2, far2) = pipes
    loop.watch(near, lambda: read(near, near2))
    loop.watch(near2, lambda: read(near2, near))
    for end in (far, far2):
        os.write(end, b"x")
    loop.run_once()
    assert len(came) == 1
    loop.close()
    for end in (near, far, near2, far2):
        os.close(end)


def test_what_a_callback_raises_ends_the_loop(loop: EventLoop) -> None:
    def raising() -> None:
        raise AssertionError("the state contradicts itself")

    loop.after(0, raising)
    with pytest.raises(AssertionError, match="contradicts"):
        loop.run()
    loop.close()


def test_signals_are_events(loop: EventLoop) -> None:
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        loop.stop()

    before = signal.getsignal(signal.SIGTERM)
    with loop.signals(hear):
        os.kill(os.getpid(), signal.SIGTERM)
        loop.run()
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before
    loop.close()
