"""`interfaceEdits: locked`: commits that change interfaces wait until failover is disabled."""

from __future__ import annotations

from pathlib import Path

from reconciler.agent.edit_lock import edit_lock
from reconciler.agent.source.content import Content, compile_content
from reconciler.system.node import Node
from tests.controller import interface

SPEC = Path(__file__).parents[1] / "core/spec/good"
GOOD = "".join((SPEC / name).read_text() + "---\n" for name in ("pair.yaml", "failover.yaml"))
GOOD = GOOD.replace("  enabled: false\n", "")
LOCKED = GOOD.replace("  arbitration:", "  interfaceEdits: locked\n  arbitration:")
MORE = interface("e9", "10.9.0.1/24")
NODE = Node(Path("/nowhere"), "a")


def content(text: str) -> Content:
    return compile_content({"all.yaml": text.encode()}, "a")


def test_an_edit_is_held_while_failover_is_enabled() -> None:
    held = edit_lock(NODE, content(LOCKED), content(LOCKED + MORE))
    assert held is not None
    assert "it changes e9" in held.why
    assert "hagit failover disable" in held.remedy


def test_a_commit_cannot_open_the_lock_for_itself() -> None:
    assert edit_lock(NODE, content(LOCKED), content(GOOD + MORE)) is not None


def test_the_lock_opens_for_what_changes_no_interface_and_where_failover_is_disabled() -> None:
    disabled = LOCKED.replace("  arbitration:", "  enabled: false\n  arbitration:")
    assert edit_lock(NODE, None, content(LOCKED)) is None
    assert edit_lock(NODE, content(GOOD), content(GOOD + MORE)) is None
    assert edit_lock(NODE, content(LOCKED), content(LOCKED)) is None
    assert edit_lock(NODE, content(disabled), content(disabled + MORE)) is None
    assert edit_lock(NODE, content(LOCKED), content(disabled + MORE)) is None
