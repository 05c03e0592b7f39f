"""What outlives the agent: lasting drift and undelivered alerts; and an agent on a full disk or without permission."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.receivers import Hook
from tests.controller import Controller, Done, interface, resource
from tests.wait import DEADLINE_S, until

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
SUBJECT = "address 10.0.0.1/24 of e0"


def alerting(url: str, default: str) -> str:
    return resource("Alerting", "alerts", f"{{webhooks: [{{url: '{url}'}}], drift: {{default: {default}}}}}")


def test_a_restart_sends_no_alert_twice_and_loses_none(controller: Controller, hook: Hook) -> None:
    commit = controller.work.commit("Storage", net__yaml=STORAGE + alerting(hook.url, "warn"))
    controller.start_agent()
    controller.until_applied(commit)
    controller.ip("address del 10.0.0.1/24 dev e0")
    until(lambda: hook.unique_events() == [("firing", SUBJECT)], hook.unique_events)
    controller.agents[-1].kill()
    second = controller.start_agent()
    until(lambda: controller.status().get("pid") == second.process.pid and controller.status()["drift"])
    controller.agents[-1].kill()
    # Mended while no agent ran: the next one says so.
    controller.ip("address add 10.0.0.1/24 dev e0")
    controller.start_agent()
    until(lambda: len(hook.unique_events()) == 2, hook.unique_events)
    assert hook.unique_events() == [("firing", SUBJECT), ("resolved", SUBJECT)]


def test_a_lasting_refusal_is_sent_once_over_restarts(controller: Controller, hook: Hook) -> None:
    text = STORAGE + alerting(hook.url, "warn")
    commit = controller.work.commit("Storage", net__yaml=text)
    controller.start_agent()
    controller.until_applied(commit)
    controller.work.commit("A mistake", net__yaml=text.replace("/24", ""))
    until(lambda: hook.unique_events() == [("firing", "newest commit")], hook.unique_events)
    for _ in range(2):
        controller.agents[-1].kill()
        agent = controller.start_agent()
        until(lambda pid=agent.process.pid: controller.status().get("pid") == pid and controller.status()["refusal"])
    controller.until_applied(controller.work.commit("Mended", net__yaml=text.replace("10.0.0.1/", "10.0.0.2/")))
    until(lambda: len(hook.unique_events()) == 2, hook.unique_events)
    assert hook.unique_events() == [("firing", "newest commit"), ("resolved", "newest commit")]


@contextlib.contextmanager
def killed_before_it_remembers(controller: Controller, words: str) -> Iterator[None]:
    """Alerts that the agent sends here are not in its memory, because it is killed before it saves that."""
    ledger = controller.state / "ledger.json"
    before = ledger.read_bytes() if ledger.exists() else None
    yield
    until(lambda: ledger.exists() and words in ledger.read_text(), controller.logs)
    controller.agents[-1].kill()
    if before is None:
        ledger.unlink()
    else:
        ledger.write_bytes(before)


def test_a_refusal_that_was_sent_but_not_saved_is_sent_once(controller: Controller, hook: Hook) -> None:
    text = STORAGE + alerting(hook.url, "warn")
    commit = controller.work.commit("Storage", net__yaml=text)
    controller.start_agent()
    controller.until_applied(commit)
    with killed_before_it_remembers(controller, "newest commit"):
        controller.work.commit("A mistake", net__yaml=text.replace("/24", ""))
        until(lambda: hook.unique_events() == [("firing", "newest commit")], hook.unique_events)
    agent = controller.start_agent()
    until(lambda: controller.status().get("pid") == agent.process.pid and controller.status()["refusal"])
    controller.until_applied(controller.work.commit("Mended", net__yaml=text.replace("10.0.0.1/", "10.0.0.2/")))
    until(lambda: len(hook.unique_events()) == 2, hook.unique_events)
    assert hook.unique_events() == [("firing", "newest commit"), ("resolved", "newest commit")]


@pytest.mark.parametrize("mended", ["while no agent runs", "later"])
def test_drift_that_was_sent_but_not_saved_is_sent_once_and_resolved(
    controller: Controller, hook: Hook, mended: str
) -> None:
    commit = controller.work.commit("Storage", net__yaml=STORAGE + alerting(hook.url, "warn"))
    controller.start_agent()
    controller.until_applied(commit)
    with killed_before_it_remembers(controller, "firing"):
        controller.ip("address del 10.0.0.1/24 dev e0")
        until(lambda: hook.unique_events() == [("firing", SUBJECT)], hook.unique_events)
    if mended == "later":
        agent = controller.start_agent()
        until(lambda: controller.status().get("pid") == agent.process.pid and controller.status()["drift"])
        controller.ip("address add 10.0.0.1/24 dev e0")
    else:
        controller.ip("address add 10.0.0.1/24 dev e0")
        controller.start_agent()
    until(lambda: len(hook.unique_events()) == 2, hook.unique_events)
    assert hook.unique_events() == [("firing", SUBJECT), ("resolved", SUBJECT)]
    firing, resolved = (hook.bodies[0]["data"], hook.bodies[-1]["data"])
    assert (firing["identity"], firing["since_s"]) == (resolved["identity"], resolved["since_s"])


def test_an_undelivered_alert_outlives_sigkill(controller: Controller, hook: Hook) -> None:
    hook.pause()
    commit = controller.work.commit("Storage", net__yaml=STORAGE + alerting(hook.url, "warn"))
    controller.start_agent()
    controller.until_applied(commit)
    controller.ip("address del 10.0.0.1/24 dev e0")
    until(lambda: sum((controller.status().get("waiting") or {}).values()) == 1, controller.status)
    assert "1 wait for" in controller.hagit("status").out
    controller.agents[-1].kill()
    hook.go_on()
    controller.start_agent()
    until(hook.unique_events)
    controller.ip("address add 10.0.0.1/24 dev e0")
    until(lambda: len(hook.unique_events()) == 2, hook.unique_events)
    assert hook.unique_events() == [("firing", SUBJECT), ("resolved", SUBJECT)]


def test_a_damaged_memory_is_put_aside(controller: Controller) -> None:
    controller.work.commit("Storage", net__yaml=STORAGE)
    controller.apply()
    for content in ('{"drift": 5}', '{"drift": {"format": "x"}}', "[1]", '{"standing": [{}]}', '{"dri'):
        (controller.state / "ledger.json").write_text(content)
        done = controller.hagit("agent", "--once")
        assert done.code == 0, done
        assert "Traceback" not in done.err
    assert "memory-damaged" in {line["decision"] for line in controller.lines("decisions.jsonl")}


@pytest.mark.parametrize("name", ["source.json", "applied.json", "status.json", "history.jsonl"])
@pytest.mark.parametrize("content", [b"[]", b"\xff\xff", b'{"good": 7, "revision": 7}', b"[" * 100_000])
def test_a_damaged_state_file_is_named(controller: Controller, name: str, content: bytes) -> None:
    """Read by commands in this process, which cost nothing to start: no command may end in a traceback."""
    from reconciler.cli.application import run

    controller.state.mkdir()
    (controller.state / name).write_bytes(content)

    def commands() -> list[int]:
        return [run([command, "--node", str(controller.node)]) for command in ("status", "history", "drift", "plan")]

    assert set(controller.inside(commands)) <= {0, 1, 2}


def fill(controller: Controller) -> Path:
    """A file that takes all the room there is on the state directory's file system."""
    filler = controller.state / "filler"
    controller.machine.run("dd", "if=/dev/zero", f"of={filler}", "bs=4k", check=False)
    return filler


@pytest.fixture
def tiny(controller: Controller) -> Controller:
    """A controller whose state directory is a file system of its own, and a small one."""
    controller.state.mkdir()
    controller.machine.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(controller.state))
    return controller


def read(controller: Controller, name: str) -> str:
    """A file in a state directory that only this controller sees."""
    return controller.machine.run("cat", str(controller.state / name), check=False)


def test_a_full_disk_stops_an_apply_before_it_begins(tiny: Controller) -> None:
    tiny.work.commit("Storage", net__yaml=STORAGE)
    assert tiny.hagit("plan").code == 0
    fill(tiny)
    for command in (("apply", "--yes"), ("agent", "--once")):
        done = tiny.hagit(*command)
        assert done.code == 1, done
        assert "No space left on device" in done.err
        assert str(tiny.state) in done.err
        assert "free space on this file system" in done.err
        assert "Traceback" not in done.err
        assert tiny.addresses() == set()
    for command in ("status", "history", "drift", "plan"):
        done = tiny.hagit(command)
        assert "Traceback" not in done.err
    tiny.machine.run("rm", str(tiny.state / "filler"))
    tiny.apply()
    assert tiny.addresses("e0") == {"10.0.0.1/24"}


def test_an_agent_on_a_full_disk_lives_and_goes_on_when_there_is_room(tiny: Controller, hook: Hook) -> None:
    text = STORAGE + alerting(hook.url, "heal")
    tiny.work.commit("Storage", net__yaml=text)
    agent = tiny.start_agent()
    until(lambda: tiny.addresses("e0") == {"10.0.0.1/24"}, tiny.logs)
    until(lambda: '"in_force":true' in read(tiny, "status.json"))
    fill(tiny)
    tiny.work.commit("More", net__yaml=text.replace("10.0.0.1/", "10.0.0.2/"))
    tiny.ip("address add 10.9.9.9/24 dev e0")
    until(lambda: "No space left on device" in tiny.logs(), tiny.logs)
    assert agent.process.poll() is None
    assert tiny.addresses("e0") == {"10.0.0.1/24", "10.9.9.9/24"}
    tiny.machine.run("rm", str(tiny.state / "filler"))
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: tiny.addresses("e0") == {"10.0.0.2/24", "10.9.9.9/24"}, tiny.logs)
    assert "Traceback" not in tiny.logs()


def as_nobody(controller: Controller, *arguments: str) -> Done:
    """Run a command without the rights of root: no capability is left, and another's files are another's."""
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *controller.argv(*arguments)[6:]]
    done = subprocess.run(
        controller.machine.enter(command),
        cwd=Path(__file__).parents[2],
        env=controller.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_without_the_right_to_change_the_network(controller: Controller) -> None:
    (controller.root / "hostname").write_text("shelf-a\n")
    controller.machine.run("hostname", "shelf-a")
    controller.work.commit("Storage", net__yaml=STORAGE)
    plan = as_nobody(controller, "plan")
    assert plan.code == 0, plan
    done = as_nobody(controller, "apply", "--yes")
    assert done.code == 1
    assert "Operation not permitted" in done.err
    assert "CAP_NET_ADMIN" in done.err
    assert "Stopped after 0 of" in done.err
    assert controller.addresses() == set()
    assert controller.in_force() == ""


def test_without_the_right_to_the_state_directory(controller: Controller) -> None:
    """The state is another user's: looking at it works, whatever would write says which directory, and why not."""
    commit = controller.work.commit("Storage", net__yaml=STORAGE)
    agent = controller.start_agent()
    controller.until_applied(commit)
    shutil.chown(controller.state, 65534, 65534)
    for path in controller.state.rglob("*"):
        # What the agent is about to rename into its place may be gone by now.
        with contextlib.suppress(FileNotFoundError):
            shutil.chown(path, 65534, 65534)
            path.chmod(0o755 if path.is_dir() else 0o644)
    status = as_nobody(controller, "status")
    assert status.code == 0, status
    assert "is in force; live state matches" in status.out
    assert f"running (pid {agent.process.pid})" in status.out
    assert as_nobody(controller, "history").code == 0
    for command in (("apply", "--yes"), ("agent", "--once"), ("rollback", "--yes", commit)):
        done = as_nobody(controller, *command)
        assert done.code == 1, done
        assert "Permission denied" in done.err
        assert str(controller.state) in done.err
        assert "run as root" in done.err
        assert "Traceback" not in done.err
    assert agent.stop() == 0
    status = as_nobody(controller, "status", "-o", "json")
    assert status.code == 0, status
    assert status.json()["agent"] is False


def test_a_state_directory_that_cannot_be_made(controller: Controller) -> None:
    (controller.root / "file").write_text("")
    controller.write_node(state=controller.root / "file" / "state")
    done = controller.hagit("plan")
    assert done.code == 1
    assert "Not a directory" in done.err
    assert str(controller.root / "file" / "state") in done.err


def test_sigterm_during_a_storm_ends_it_orderly(controller: Controller, hook: Hook) -> None:
    controller.work.commit("Storage", net__yaml=STORAGE + alerting(hook.url, "heal"))
    agent = controller.start_agent()
    until(lambda: controller.addresses("e0"), controller.logs)
    churn = [f"address {what} 10.8.{number}.1/32 dev e1" for number in range(200) for what in ("add", "del")]
    controller.ip(*churn)
    assert agent.stop() == 0
    assert controller.logs() == ""
    assert json.loads((controller.state / "status.json").read_bytes())["in_force"]
