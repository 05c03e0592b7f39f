"""Power fencing with real daemons: a BMC that speaks IPMI behind Debian's fence_ipmilan, and agents that fail."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from reconciler.core.failover.orders.document import orders_key
from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.document import power_document
from reconciler.core.power.plan import Option, PowerPlan, PowerSwitch
from reconciler.core.power.secret_scope import FREE
from reconciler.core.status.watchdog import PowerStatus
from reconciler.system.control_protocol import ControlAnswer, RequestKind
from tests.system.power.bmc import PASSWORD, Bmc
from tests.watchdog.pair import ORDERS, ROOT, SECRET, TIMERS, Head, Pair

#: The deadman comes so late that no test waits for it: whoever is off in time was switched off. Between a cut and what
#: silence begins there is time on any machine.
LATE: Final = replace(TIMERS, stale_ms=4_000, deadman_ms=120_000, patience_ms=150_000, yield_ms=10_000)
TIMEOUT_MS: Final = 20_000


@pytest.fixture
def make_bmc(tmp_path: Path) -> Iterator[Callable[[Pair], Bmc]]:
    """Makes the BMC of a, in the namespace of b, which is where b reaches it."""
    with ExitStack() as stack:

        def make(pair: Pair) -> Bmc:
            made = Bmc(tmp_path / "bmc", tuple(pair.b.room.enter()))
            stack.callback(made.close)
            return made

        yield make


def plan(agent: str, options: tuple[tuple[str, str], ...] = (), **words: bool) -> PowerPlan:
    """How a is switched."""
    given = tuple(Option(name, value) for name, value in options)
    return PowerPlan("tank", (PowerSwitch(Side.A, agent, given, TIMEOUT_MS),), check_ms=1_000, **words)


def publish(head: Head, wanted: PowerPlan) -> None:
    made = head.state / ".power.new"
    made.write_bytes(power_document(wanted, orders_key(SECRET)))
    made.replace(head.state / "power.json")


def give(head: Head, password: Path, agent: str, options: tuple[tuple[str, str], ...] = ()) -> None:
    """The file with the password, and whose it is, in the node file."""
    bound = "".join(f'{name} = "{value}"\n' for name, value in options if name not in FREE)
    text = f'[power]\npassword = "{password}"\n[power.for]\nagent = "{agent}"\n{bound}'
    head.node.write_text(head.node.read_text() + text)


def power(head: Head) -> PowerStatus:
    status = head.status()
    return status.power if status is not None and status.power is not None else PowerStatus(controller="", agent="")


def generation(head: Head) -> int:
    status = head.status()
    return status.orders.here if status is not None else 0


def notes(head: Head) -> list[str]:
    return [line["text"] for line in head.timeline() if line["mark"] == "note" and line["code"] == "POWER"]


def claimed(head: Head) -> list[str]:
    """Why each claim began."""
    return [line["code"] for line in head.timeline() if line.get("new") == "claiming"]


def fenced_pair(make_pair: Callable[..., Pair], make_bmc: Callable[[Pair], Bmc]) -> tuple[Pair, Bmc]:
    """A pair in which b can switch a, and has found that it can."""
    pair = make_pair(replace(ORDERS, timers=LATE))
    bmc = make_bmc(pair)
    give(pair.b, bmc.password, "fence_ipmilan", bmc.options)
    publish(pair.b, plan("fence_ipmilan", bmc.options))
    pair.settle()
    assert pair.a.box is not None
    bmc.switches(pair.a.box.pid)
    pair.until(lambda: power(pair.b).working and power(pair.b).power == "on")
    return pair, bmc


class Watch:
    """Looks at the arguments of every process, as every user of the machine can (proc(5))."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(entry.read_bytes())
                except OSError:
                    continue

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def test_whoever_hangs_is_cut_while_the_claim_goes_on_and_switched_on_again(
    make_pair: Callable[..., Pair], make_bmc: Callable[[Pair], Bmc]
) -> None:
    pair, bmc = fenced_pair(make_pair, make_bmc)
    watch = Watch()
    try:
        with pair.client() as client:
            pair.fault("pause", "a")
            pair.until_phases(b="active")
            client.until_answered()
        pair.until(lambda: not pair.a.on)
        pair.until(lambda: power(pair.b).proven or "1" in bmc.asked)
        # The BMC says on as soon as the machine is: here a person presses the button that a BMC has.
        pair.until(lambda: bmc.asked == ["0", "1"])
        pair.fault("resume", "a")
        pair.a.boot()
        assert pair.a.box is not None
        bmc.switches(pair.a.box.pid)
        pair.until_phases(a="standby", b="active")
        pair.until(lambda: power(pair.b).power == "on" and not power(pair.b).doing)
    finally:
        watch.close()
    assert claimed(pair.b) == ["PEER_SILENT"]
    assert "the peer is proven to be off" in notes(pair.b)
    assert bmc.asked == ["0", "1"]
    assert not [line for line in watch.seen if PASSWORD.encode() in line]
    for head in pair.both():
        for path in [*head.state.rglob("*"), *head.run.rglob("*"), head.log]:
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def silence(pair: Pair) -> None:
    """No heartbeat gets through, and every interface keeps its carrier; the disks are alive."""
    pair.cut("link0")
    pair.lan.ip("link set a-net0 nomaster")


def hagit(head: Head, *words: str) -> subprocess.CompletedProcess[str]:
    """`hagit power`, as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "reconciler.cli.entry", "--node", str(head.node), "power", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ask(head: Head, deed: str, word: str = "") -> ControlAnswer:
    return head.ask(RequestKind.POWER, deed=deed, word=word)


def test_silence_alone_cuts_nobody_and_a_persons_word_with_proof_takes_over_without_the_deadman(
    make_pair: Callable[..., Pair], make_bmc: Callable[[Pair], Bmc]
) -> None:
    """Orders are strict: without the proof b would wait for a's deadman, two minutes, before it answers a client."""
    pair, bmc = fenced_pair(make_pair, make_bmc)
    pair.publish(strict=True)
    pair.until(lambda: all(generation(head) == 2 for head in pair.both()))
    silence(pair)
    pair.until(lambda: "ISOLATED" in pair.b.reasons())
    for word in ("right", "a", "LEFT"):
        refused = hagit(pair.b, "off", "--word", word)
        assert refused.returncode == 1
        assert "hagit: refused: the word is the name of the controller that shall be off, left" in refused.stderr
    assert "there is no terminal to type the word on" in hagit(pair.b, "off").stderr
    asked = hagit(pair.b, "status", "-o", "json")
    document = json.loads(asked.stdout)
    assert (asked.returncode, document["outcome"], document["power"]["power"]) == (0, "done", "on")
    assert bmc.asked == [] and pair.b.phase == "standby" and pair.a.phase == "active"
    with pair.client() as client:
        done = hagit(pair.b, "off", "--word", "left")
        assert done.returncode == 0, done.stderr
        assert "Done: fence_ipmilan said" in done.stdout and "left is proven to be off" in done.stdout
        pair.until_phases(b="active")
        pair.until(lambda: pair.b.serves)
        client.until_answered()
    assert power(pair.b).well and power(pair.b).proven and power(pair.b).power == "off"
    assert not pair.a.on and bmc.asked == ["0"]
    assert claimed(pair.b) == ["PEER_DEAD"]
    pair.until(lambda: "POWER_CUT" in pair.b.reasons())
    status = pair.b.status()
    assert status is not None and "on" not in bmc.asked, "whom a person switched off stays off"


AGENT: Final = """\
#!/bin/sh
cd '{root}'
given=$(cat)
action=$(echo "$given" | sed -n s/^action=//p)
echo "$action" >> asked
{body}
"""


def agent(pair: Pair, body: str) -> str:
    """An agent that only the node file of b knows."""
    path = pair.root / "fence_tests"
    path.write_text(AGENT.format(root=pair.root, body=body))
    path.chmod(0o755)
    pair.b.node.write_text(pair.b.node.read_text() + f'[fence_agents]\nfence_local_tests = "{path}"\n')
    return "fence_local_tests"


LIAR: Final = '[ "$action" = off ] && exit 0; echo "Status: ON"; exit 0'
HANGING: Final = '[ "$action" = off ] && exec sleep 1000; echo "Status: ON"; exit 0'


@pytest.mark.parametrize(
    ("body", "why"),
    [(LIAR, "`status` says that the power is on"), (HANGING, "took longer than")],
    ids=["lies", "hangs"],
)
def test_an_agent_that_fails_delays_nobody_and_is_told(make_pair: Callable[..., Pair], body: str, why: str) -> None:
    pair = make_pair()
    wanted = plan(agent(pair, body))
    publish(pair.b, replace(wanted, switches=tuple(replace(one, timeout_ms=4_000) for one in wanted.switches)))
    pair.settle()
    pair.until(lambda: power(pair.b).working)
    pair.fault("pause", "a")
    pair.until_phases(b="active")
    pair.until(lambda: pair.b.serves)
    pair.until(lambda: "POWER_FAILED" in pair.b.reasons())
    status = pair.b.status()
    assert status is not None
    assert any(why in reason.evidence for reason in status.reasons if reason.code == "POWER_FAILED"), status.reasons
    assert not power(pair.b).proven and "the peer is proven to be off" not in notes(pair.b)
    assert "off" in (pair.root / "asked").read_text().split()
    pair.a.until_reset()


def test_a_switch_that_says_off_of_a_peer_that_is_heard_is_the_wrong_one(make_pair: Callable[..., Pair]) -> None:
    """Nothing is cut by it afterwards, whatever happens to the peer."""
    pair = make_pair()
    publish(pair.b, plan(agent(pair, '[ "$action" = off ] && exit 0; echo "Status: OFF"; exit 2')))
    pair.settle()
    pair.until(lambda: "POWER_WRONG" in pair.b.reasons())
    status = pair.b.status()
    assert status is not None and not power(pair.b).working and status.verdict == "HA active"
    turns = power(pair.b).turns
    assert ask(pair.b, "off", "left").accepted
    pair.until(lambda: power(pair.b).turns > turns)
    assert not power(pair.b).well and power(pair.b).last == "it says off, and the peer is heard"
    assert not power(pair.b).proven and pair.b.phase == "standby"
    asked = (pair.root / "asked").read_text().split().count("off")
    pair.fault("power-off", "a")
    pair.until_phases(b="active")
    pair.until(lambda: pair.b.serves)
    assert (pair.root / "asked").read_text().split().count("off") == asked


def test_what_does_not_work_is_told_before_it_is_needed(
    make_pair: Callable[..., Pair], make_bmc: Callable[[Pair], Bmc]
) -> None:
    pair = make_pair()
    bmc = make_bmc(pair)
    wrong = pair.root / "wrong"
    wrong.write_text("Wrong-4711")
    wrong.chmod(0o644)
    give(pair.b, wrong, "fence_ipmilan", bmc.options)
    publish(pair.b, plan("fence_ipmilan", bmc.options))
    pair.settle()

    def evidence() -> str:
        status = pair.b.status()
        reasons = status.reasons if status is not None else ()
        return " ".join(reason.evidence for reason in reasons if reason.code == "POWER_FAILED")

    pair.until(lambda: "others may read or change this secret (mode 0644)" in evidence())
    wrong.chmod(0o600)
    pair.until(lambda: "`status` ended with 1" in evidence())
    wrong.write_text(PASSWORD)
    assert pair.a.box is not None
    bmc.switches(pair.a.box.pid)
    pair.until(lambda: power(pair.b).working and not evidence())
    publish(pair.b, PowerPlan("tank", ()))
    pair.until(lambda: power(pair.b).agent == "")
    refused = ask(pair.b, "status")
    assert (refused.accepted, refused.code) == (False, "NO_POWER")
    told = hagit(pair.b, "status")
    assert told.returncode == 1 and "no power fencing is configured for the peer" in told.stderr
    (pair.b.state / "power.json").write_bytes(b"{}\n")
    pair.until(lambda: "the power plan is not as long as such bytes are" in evidence())


def test_a_commit_that_names_another_host_gets_no_password(
    make_pair: Callable[..., Pair], make_bmc: Callable[[Pair], Bmc]
) -> None:
    """The BMC of the attacker asks for the password; the real one would have been asked with it."""
    pair = make_pair()
    bmc = make_bmc(pair)
    real = tuple((name, "10.0.9.12" if name == "ip" else value) for name, value in bmc.options)
    give(pair.b, bmc.password, "fence_ipmilan", real)
    publish(pair.b, plan("fence_ipmilan", bmc.options))
    pair.settle()
    evidence = "the node file has its secrets for another agent or host (ip is 127.0.0.1, [power.for] says 10.0.9.12)"

    def said() -> str:
        status = pair.b.status()
        reasons = status.reasons if status is not None else ()
        return " ".join(reason.evidence for reason in reasons if reason.code == "POWER_FAILED")

    pair.until(lambda: evidence in said())
    assert 'write into [power.for] of the node file: agent = "fence_ipmilan"' in said()
    assert "authentication" not in (bmc.root / "log").read_text().lower()
    assert pair.a.status() is not None and not {"POWER_FAILED", "POWER_WRONG"} & pair.a.reasons()
    assert "Wrong-4711" not in pair.b.logs()
