"""What a daemon leaves to the one that replaces it while it runs: a document in memory, and open files.

The document holds the state of the core and the numbers that must not begin anew in the same life. Written and read by
two releases: each part is checked, and a state that the newer release does not understand is left out, not guessed.
Does not know when anything is handed over.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.core.failover.refusal import Refused
from reconciler.core.failover.state import State
from reconciler.core.failover.state_document import STATE_BYTES_MAX, read_state, state_document

DOCUMENT_BYTES_MAX: Final = 2 * STATE_BYTES_MAX
HOSTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What is left. `state` is None where it could not be read, and `why` says that.

    `counter`: of the last beat. `carp`: interface, virtual host and newest counter. `here`: whether all addresses are
    on this controller. `story`: `Chronicle.memory`. `since`: when the phase began, for people. `supervised`: whether
    the successor is the main process of the unit already.
    """

    state: State | None
    counter: int = 0
    carp: tuple[tuple[str, int, int], ...] = ()
    story: tuple[int, str] = (0, "")
    since: str = ""
    here: bool = False
    override: bool = False
    supervised: bool = True
    why: str = field(default="", compare=False)


def inheritance_handle(left: Inheritance) -> int:
    """A descriptor of memory with the document in it (memfd_create(2)); the caller closes it."""
    assert left.state is not None
    document = {
        "state": state_document(left.state).decode("ascii"),
        "counter": left.counter,
        "carp": left.carp,
        "story": left.story,
        "since": left.since,
        "here": left.here,
        "override": left.override,
        "supervised": left.supervised,
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


def read_inheritance(handle: int) -> Inheritance:
    """What lies in that memory. Whatever part of it another release wrote differently is left out; never raises."""
    size = min(os.fstat(handle).st_size, DOCUMENT_BYTES_MAX)
    try:
        document = json.loads(os.pread(handle, size, 0))
    except (ValueError, RecursionError) as error:
        return Inheritance(None, why=str(error)[:200])
    if not isinstance(document, dict):
        return Inheritance(None, why="no object")
    text = document.get("state")
    state = read_state(text.encode()) if isinstance(text, str) else None
    carp, story = document.get("carp"), document.get("story")
    known: dict[str, Any] = {}
    if isinstance(carp, list) and len(carp) <= HOSTS_MAX:
        known["carp"] = tuple(tuple(host) for host in carp if _fits(host, str, int, int))
    if _fits(story, int, str):
        known["story"] = tuple(story)  # type: ignore[arg-type]
    for name, kind in (("counter", int), ("since", str), ("here", bool), ("override", bool), ("supervised", bool)):
        if type(document.get(name)) is kind:
            known[name] = document[name]
    if state is None or isinstance(state, Refused):
        return Inheritance(None, why=str(state or "it is missing"), **known)
    return Inheritance(state, **known)


def _fits(value: object, *kinds: type) -> bool:
    return isinstance(value, list) and [type(item) for item in value] == list(kinds)
