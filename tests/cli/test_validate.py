"""`hagit validate`: every defect at once."""

from __future__ import annotations

from reconciler.cli.application import COMMANDS
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


def test_validate_tells_everything_at_once(controller: Controller) -> None:
    good = controller.hagit("validate", str(controller.work.path))
    assert (good.code, good.err) == (0, "")
    assert good.out.startswith("Valid: 1 resources for controllers a and b.") or good.out.startswith(
        "Valid: 1 resource "
    )
    controller.work.write("bad.yaml", STORAGE.replace("/24", "").replace("match", "mach").encode())
    bad = controller.hagit("validate", str(controller.work.path))
    assert bad.code == 1
    assert bad.err.count("bad.yaml:") >= 4
    assert "defects in the desired state" in bad.err
    document = controller.hagit("validate", str(controller.work.path), "-o", "json")
    assert document.code == 1
    assert document.json()["valid"] is False
    assert {complaint["file"] for complaint in document.json()["complaints"]} == {"bad.yaml"}
    assert all(complaint["line"] for complaint in document.json()["complaints"])
    missing = controller.hagit("validate", str(controller.root / "nowhere"))
    assert missing.code == 1
    assert "there is no such directory" in missing.err
