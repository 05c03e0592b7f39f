"""State document: every state round-trips, any other bytes are refused, and no input raises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.state_document import ITEMS_MAX, STATE_BYTES_MAX, read_state, state_document
from reconciler.core.failover.refusal import Refused
from reconciler.simulation.timed.faults import heal_everything, inject
from reconciler.simulation.timed.swarm import draw
from reconciler.simulation.timed.world import World


def states(seed: int) -> Iterator[State]:
    """States of both controllers in a history of faults."""
    scenario = draw(seed)
    world = World(scenario.orders, Random(seed), scenario.physics, protocols=scenario.protocols)
    for injection in scenario.injections[:30]:
        world.run(injection.at_ms)
        inject(world, injection.name, injection.words)
        yield from (one.core for one in world.controllers if one.core is not None)
    # However close together the faults were, both have power again by then.
    heal_everything(world)
    for _ in range(5):
        world.run(world.now_ms + 2_000)
        yield from (one.core for one in world.controllers if one.core is not None)


@pytest.mark.parametrize("seed", range(6))
def test_every_state_of_a_history_is_read_as_it_was_written(seed: int) -> None:
    found = 0
    for state in states(seed):
        again = read_state(state_document(state))
        assert again == state
        # Fields that do not count for equality are there, too.
        assert repr(again) == repr(state)
        found += 1
    assert found >= 3


def whole(seed: int = 1) -> dict[str, Any]:
    """A document with a peer that was heard."""
    known = next(state for state in states(seed) if state.peer.beat is not None and state.peer.last[0] is not None)
    found = json.loads(state_document(known))
    assert isinstance(found, dict)
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with one value in place of what was there."""
    if not path:
        return value
    made = dict(document) if isinstance(document, dict) else list(document)
    made[path[0]] = put(document[path[0]], path[1:], value)
    return made


def test_a_value_of_another_kind_is_refused_wherever_it_stands() -> None:
    document = whole()
    for path in places(document):
        for value in ("nonsense \x00", 1.5, True, [[]], {"a": 1}):
            read = read_state(json.dumps(put(document, path, value)).encode())
            if isinstance(read, State):
                # Free text, a flag that was false: what fits is taken.
                assert json.loads(state_document(read)) == put(document, path, value), path


def test_a_field_more_or_less_is_another_release() -> None:
    document = whole()
    state = document["state"]
    for name in state:
        less = {other: value for other, value in state.items() if other != name}
        assert isinstance(read_state(json.dumps(document | {"state": less}).encode()), Refused)
    assert isinstance(read_state(json.dumps(document | {"state": state | {"newer": 1}}).encode()), Refused)
    assert isinstance(read_state(json.dumps(document | {"format": 2}).encode()), Refused)
    read = read_state(json.dumps(document | {"state": state | {"newer": 1}}).encode())
    assert "newer" in str(read)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b"x" * (STATE_BYTES_MAX + 1), b'{"format":1,"state":null}'],
)
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(read_state(data), Refused)


def test_channels_that_do_not_fit_the_orders_are_refused() -> None:
    document = whole()
    short = put(document, ("state", "peer", "heard_ms"), [1])
    assert isinstance(read_state(json.dumps(short).encode()), Refused)
    long = put(document, ("state", "moves_ms"), [1] * (ITEMS_MAX + 1))
    assert isinstance(read_state(json.dumps(long).encode()), Refused)
