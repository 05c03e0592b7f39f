"""`hagit validate`: every defect at once."""

from __future__ import annotations

from reconciler.cli.application import COMMANDS
from tests.controller import PAIR, Controller, interface, resource

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


def test_a_repository_of_many_pairs(controller: Controller) -> None:
    """Every pair by itself and all together; a folder that no pair reads is named."""
    work = controller.work
    work.git("rm", "-q", "-r", ".")
    shared = PAIR.replace("spec:\n", "spec:\n  shared: [common]\n")
    work.write("pairs/north/pair.yaml", (shared + STORAGE).encode())
    work.write("pairs/south/pair.yaml", (shared.replace("shelf", "south") + STORAGE.replace("/24", "/25")).encode())
    work.write("common/alerts.yaml", resource("Alerting", "alerts", "{drift: {default: heal}}").encode())
    work.write("notes/todo.yaml", b"x: 1\n")
    work.write(".github/workflows/ci.yaml", b"kind: Pair\n")
    twice = controller.hagit("validate", "--all", str(work.path))
    assert (twice.code, twice.err.count("both have the address 10.0.0.1")) == (1, 2), twice
    assert "pairs/south/pair.yaml:14:" in twice.err and "pairs/north/pair.yaml:14:" in twice.err
    document = controller.hagit("validate", "--all", str(work.path), "-o", "json").json()
    assert {complaint["code"] for complaint in document["complaints"]} == {"pairs-share"}
    work.write("pairs/south/pair.yaml", (shared.replace("shelf", "south") + STORAGE.replace("10.0.", "10.1.")).encode())
    good = controller.hagit("validate", "--all", str(work.path))
    assert (good.code, good.out) == (0, "Valid: 2 pairs.\n"), good
    assert "warning: notes: no pair reads" in good.err and ".github" not in good.err
    one = controller.hagit("validate", "--path", "pairs/north", str(work.path))
    assert (one.code, one.err) == (0, "") and "3 resources" in one.out
    for arguments, says in (
        (("--all", "--path", "pairs/north"), "--all checks every folder"),
        (("--path", "../north"), "is no folder of a repository"),
        (("--path", "pairs/west"), "pairs/west: there is no YAML file in this folder"),
        ((), "hagit validate --all"),
    ):
        refused = controller.hagit("validate", *arguments, str(work.path))
        assert (refused.code, says in refused.err) == (1, True), refused
    empty = controller.hagit("validate", "--all", str(work.path / "notes"))
    assert (empty.code, "there is no Pair" in empty.err) == (1, True)
    assert "there is no such directory" in controller.hagit("validate", "--all", "/nowhere").err
