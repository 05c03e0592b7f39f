"""What the agent and the commands make may be read by other users only where `hagit status` needs it."""

from reconciler.agent.store import PUBLIC_FILES
from tests.agent.test_survival import as_nobody
from tests.controller import Controller, interface
from tests.modes import wide


def test_what_the_agent_makes(controller: Controller) -> None:
    commit = controller.work.commit("Storage", net__yaml=interface("e0", "10.0.0.1/24"))
    agent = controller.start_agent()
    controller.until_applied(commit)
    assert controller.hagit("plan").code == 0
    assert controller.hagit("plan", "--out", str(controller.root / "change.plan")).code == 0
    assert (controller.root / "change.plan").stat().st_mode & 0o777 == 0o600
    assert wide(controller.state, PUBLIC_FILES) == []
    assert {"lock", "agent.lock", "source.lock", "compiled"} < {path.name for path in controller.state.iterdir()}
    # A user who may not open the lock still learns that the agent runs.
    assert f"running (pid {agent.process.pid})" in as_nobody(controller, "status").out
    assert agent.stop() == 0


def test_what_an_earlier_release_made_is_narrowed(controller: Controller) -> None:
    controller.apply()
    for path in (controller.state, *controller.state.iterdir()):
        path.chmod(0o777 if path.is_dir() else 0o666)
    elsewhere = controller.root / "elsewhere"
    elsewhere.write_text("not of hagit")
    elsewhere.chmod(0o666)
    (controller.state / "link").symlink_to(elsewhere)
    assert controller.hagit("status").code == 0
    (controller.state / "link").unlink()
    assert wide(controller.state, PUBLIC_FILES) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o666
