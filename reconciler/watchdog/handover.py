"""What a daemon hands over to the one that replaces it while it runs: a document in memory, and open files.

The document holds the state of the core, and the numbers that must continue. Two releases write and read it: each part
is checked, and a state that the newer release does not understand is left out, not guessed. Leaves the moment of the
hand-over to `successor_handle`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.state_document import STATE_BYTES_MAX, read_state, state_document
from reconciler.core.failover.refusal import Refused

DOCUMENT_BYTES_MAX: Final = 2 * STATE_BYTES_MAX
HOSTS_MAX: Final = 10_000
#: Fields of `Handover` with a plain value: the field, its name in the document, its type.
FIELDS: Final = (
    ("counter", "counter", int),
    ("phase_since", "since", str),
    ("addresses_present", "here", bool),
    ("override", "override", bool),
    ("supervised", "supervised", bool),
)


@dataclass(frozen=True, slots=True)
class Handover:
    """What is handed over. `state` is None if it could not be read; then `problem` says why.

    `counter`: of the last heartbeat. `carp`: interface, VHID and newest counter of each virtual host.
    `addresses_present`: whether all virtual addresses are on this controller. `timeline`: `Timeline.handover_memory`.
    `phase_since`: when the phase began, for people. `supervised`: whether the successor is already the main process of
    the unit.
    """

    state: State | None
    counter: int = 0
    carp: tuple[tuple[str, int, int], ...] = ()
    timeline: tuple[int, str] = (0, "")
    phase_since: str = ""
    addresses_present: bool = False
    override: bool = False
    supervised: bool = True
    problem: str = field(default="", compare=False)


def handover_file(handover: Handover) -> int:
    """Write the document into memory (memfd_create(2)). Returns the descriptor, which the caller closes."""
    assert handover.state is not None
    document = {
        "state": state_document(handover.state).decode("ascii"),
        "counter": handover.counter,
        "carp": handover.carp,
        "story": handover.timeline,
        "since": handover.phase_since,
        "here": handover.addresses_present,
        "override": handover.override,
        "supervised": handover.supervised,
    }
    handle = os.memfd_create("hagit-inheritance", os.MFD_CLOEXEC)
    try:
        content = memoryview(json.dumps(document).encode())
        while content:
            content = content[os.write(handle, content) :]
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_handover(handle: int) -> Handover:
    """Read the document from memory. Leaves out parts that another release wrote differently. Never raises."""
    size = min(os.fstat(handle).st_size, DOCUMENT_BYTES_MAX)
    try:
        document = json.loads(os.pread(handle, size, 0))
    except (ValueError, RecursionError) as error:
        return Handover(None, problem=str(error)[:200])
    if not isinstance(document, dict):
        return Handover(None, problem="no object")
    text = document.get("state")
    state = read_state(text.encode()) if isinstance(text, str) else None
    carp, story = document.get("carp"), document.get("story")
    known: dict[str, Any] = {}
    if isinstance(carp, list) and len(carp) <= HOSTS_MAX:
        known["carp"] = tuple(tuple(host) for host in carp if _fits(host, str, int, int))
    if _fits(story, int, str):
        known["timeline"] = tuple(story)  # type: ignore[arg-type]
    for field_name, name, kind in FIELDS:
        if type(document.get(name)) is kind:
            known[field_name] = document[name]
    if state is None or isinstance(state, Refused):
        return Handover(None, problem=str(state or "it is missing"), **known)
    return Handover(state, **known)


def _fits(value: object, *kinds: type) -> bool:
    return isinstance(value, list) and [type(item) for item in value] == list(kinds)
