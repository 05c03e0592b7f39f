"""The second half of the demonstration: the pair gets a shelf and two watchdogs, and then its parts fail.

Each step prints the prediction of `hagit rehearse`, causes the failure, and prints how long the client waited and what
`hagit status` reports.
"""

from __future__ import annotations

import os
import time
from typing import Final

from reconciler.core.failover.orders.orders import Timers
from reconciler.demo.managed_controller import PHYSICS, WRITE_MS, start_shelf
from reconciler.demo.pair_narration import PairNarrator
from reconciler.demo.repository import FAILOVER, VIRTUAL
from reconciler.demo.testbed import CONTROLLERS, OUTER_PID_VARIABLE
from reconciler.errors import StateError

TIMERS: Final = Timers()
BOOT: Final = "machine boot_ms 2s"


class FailoverStory(PairNarrator):
    """The steps with watchdogs, in order."""

    def run(self) -> None:
        """Run every step. Raises StateError when a write was lost or an invariant broke."""
        self._begin()
        self._kill()
        self._power_loss()
        self._interlink()
        self._networks()
        self._pause_and_wake()
        self._boot_both()
        self._force()
        self._switch_over()
        self._account()

    def _begin(self) -> None:
        timers = (
            f"a heartbeat every {TIMERS.beat_ms} ms, a network is silent after {TIMERS.silence_ms} ms, "
            f"the heartbeat on the disks is stale after {TIMERS.stale_ms} ms, the deadman resets after "
            f"{TIMERS.deadman_ms / 1000:.0f} s"
        )
        low_ms, high_ms = PHYSICS.import_ms
        self.step(
            "Failover",
            "Now the pair gets a shelf of four disks (simulated: an import takes "
            f"{low_ms / 1000:.1f} to {high_ms / 1000:.1f} s) and a watchdog on each controller. A commit says what may "
            f"be taken over; the timers are the defaults: {timers}. Both controllers are switched off and on again. "
            f"From now on the client pings the virtual address every 10 ms, and writes through the active "
            f"controller every {WRITE_MS} ms; what was acknowledged must never be lost.",
        )
        self.repository.replace("  mtu: 1400\n", f"  mtu: 9000\n{VIRTUAL}")
        self.repository.add(FAILOVER)
        self.show(f"# added to the Interface data\n{VIRTUAL}{FAILOVER}")
        self.repository.configure_watchdogs()
        self.repository.commit("Failover, and the pool it is for")
        start_shelf(self.testbed, self.repository)
        self.wait_until("the shelf", self._shelf_answers)
        began_s = time.monotonic()
        self.switch_on(*CONTROLLERS)
        self.start_client()
        self.wait_until_healthy()
        print()
        self.note(f"both booted; HA was active {time.monotonic() - began_s:.1f} s later")
        if os.environ.get(OUTER_PID_VARIABLE):
            self.note("Without root a watchdog gets no real-time priority and no locked memory, and warns of it.")
        self.command("a", "status")
        self.show(self.hagit("a", "status"))

    def _shelf_answers(self) -> bool:
        try:
            self.control().close()
        except OSError:
            return False
        return True

    def _kill(self) -> None:
        one = self.active()
        self.step(
            "The watchdog is killed",
            f"kill -9 for the watchdog of {one}, the active controller; as under systemd it is started again at once. "
            "Pools and addresses belong to the kernel and stay. Were it not started again, the other controller would "
            "take over, and the deadman would reset this one.",
        )
        self.show_prediction(one, "daemon-killed", one)
        began_s = time.monotonic()
        self.controllers[one].kill_watchdog()
        self.controllers[one].start()
        self.wait_until("the watchdog to be back", lambda: self.controllers[one].phase or not self.controllers[one].on)
        self.wait_until("one to be active", self.active)
        took_ms = 1_000 * (time.monotonic() - began_s)
        if self.active() == one:
            self.note(f"it was back after {took_ms:.0f} ms and continued where it had been; no pool moved", "done")
        else:
            self.note(f"it was not back within {TIMERS.stale_ms} ms on this machine, so {self.active()} took over",
                      "done")  # fmt: skip
        self.wait_until_healthy()
        self.report_silence(began_s)
        self.show_verdict(one)

    def _power_loss(self) -> None:
        one = self.active()
        other = _other(one)
        self.step(
            "The active controller loses power",
            f"Every process of {one} is killed and its namespaces are gone, network, cables and all. It sends no "
            f"goodbye: {other} has to notice, to verify it by the disks, and to take over.",
        )
        if one == "a":
            self.show_prediction(other, "power-loss", one)
        else:
            # A rehearsal begins with a as the active one.
            script = f"{BOOT}\nat 0s switchover\nat 20s power-loss {one}\nuntil 40s"
            self.show_prediction(other, script=script, since="power-loss")
        began_s = time.monotonic()
        self.controllers[one].cut_power()
        self.wait_until_active(other)
        self.report_silence(began_s, f"now {other} answers")
        self.show_failover(other)
        self.show_verdict(other)
        self.switch_on(one)
        self.wait_until_healthy()
        self.note(f"{one} has power again and stands by")

    def _interlink(self) -> None:
        one = self.active()
        self.step(
            "The interlink is pulled",
            "The cable between the controllers. They still hear one another on the data network and by the disks: "
            "nothing may move, and an operator should plug it in again.",
        )
        self.show_prediction(one, "cable-pull", "interlink")
        began_s = time.monotonic()
        self.testbed["client"].ip("link set a-link0 down")
        for name in CONTROLLERS:
            self.wait_until(f"{name} to miss it", lambda name=name: "NO_HEARTBEAT" in self.controllers[name].reasons())  # type: ignore[misc]
        self._unmoved(one)
        self.report_silence(began_s)
        self.show_verdict(one)
        self.testbed["client"].ip("link set a-link0 up")
        self.wait_until_healthy()

    def _networks(self) -> None:
        one = self.active()
        self.step(
            "Every network between them is gone",
            "The interlink is pulled, and the switches forward nothing from one controller to the other. Without disks "
            "each would believe that it is alone. The heartbeat on the disks proves the opposite: nothing moves, and "
            "an alert says why.",
        )
        self.show_prediction(one, "all-cables")
        began_s, wall_s = time.monotonic(), time.time()
        ports = [f"{name}-{nic}" for name in CONTROLLERS for nic in ("mgmt0", "data0")]
        self.testbed["client"].ip(
            "link set a-link0 down", *(f"link set dev {port} type bridge_slave isolated on" for port in ports)
        )
        other = _other(one)
        self.wait_until("the silence to last", lambda: self._silent(other))
        received = self.wait_until("the alert", lambda: self.alert(self._reason(other, "ISOLATED"), wall_s))
        assert received is not None
        self._unmoved(one)
        self.report_silence(began_s)
        self.note(received["event"]["data"]["summary"], "alert")
        self.show_verdict(other)
        self.testbed["client"].ip(
            "link set a-link0 up", *(f"link set dev {port} type bridge_slave isolated off" for port in ports)
        )
        self.wait_until_healthy()

    def _silent(self, name: str) -> bool:
        """Whether a controller has heard nothing on any network for three times the limit."""
        status = self.controllers[name].status()
        return status is not None and all(one.age_ms > 3 * one.limit_ms for one in status.channels)

    def _reason(self, name: str, code: str) -> str:
        """The text of a reason that the watchdog of a controller gives; "?" while it does not give it."""
        return self.controllers[name].reasons().get(code, "?")

    def _unmoved(self, one: str) -> None:
        assert self.active() == one, f"{one} was active; now {self.active() or 'none'} is"
        self.note(f"{one} is active, {_other(one)} stands by, as before", "no move")

    def _pause_and_wake(self) -> None:
        one = self.active()
        other = _other(one)
        self.step(
            "A watchdog that sleeps too long, and wakes",
            f"The watchdog of {one} gets SIGSTOP, as a machine that swaps would do to it. {other} must take over; when "
            f"{one} wakes it believes to be active still. The disks know better: it finds its reservation gone and "
            "resets itself before it does anything else.",
        )
        switch = "" if one == "a" else "at 0s switchover\n"
        script = f"{BOOT}\n{switch}at 20s daemon-paused {one}\nat 23s heal daemon-paused {one}\nuntil 40s"
        self.show_prediction(other, script=script, since="daemon-paused")
        began_s = time.monotonic()
        self.controllers[one].pause_watchdog()
        self.wait_until_active(other)
        self.controllers[one].resume_watchdog()
        self.wait_until(f"{one} to be reset", lambda: not self.controllers[one].on)
        why = self.controllers[one].reset_reason()
        self.note(f"{one} was reset: {why}", "done")
        self.report_silence(
            began_s,
            f"until {other} took the address, the kernel of {one} went on answering pings, yet its disks took no more "
            "writes",
        )
        self.show_failover(other)
        self.switch_on(one)
        self.wait_until_healthy()
        self.show_verdict(other)

    def _boot_both(self) -> None:
        self.step(
            "Both lose power and boot at once",
            "No controller is active or has the pools: the preferred one takes them as soon as both hear each other.",
        )
        self.show_prediction(self.active(), script=f"{BOOT}\nat 0s power-loss-both\nat 1s heal everything\nuntil 30s")
        began_s = time.monotonic()
        for name in CONTROLLERS:
            self.controllers[name].cut_power()
        booted_s = time.monotonic()
        self.switch_on(*CONTROLLERS)
        one = str(self.wait_until("one to be active", self.active))
        self.wait_until_active(one)
        self.note(f"{one} is active {time.monotonic() - booted_s:.1f} s after both got power again", "done")
        self.report_silence(began_s)
        self.wait_until_healthy()
        self.show_verdict(one)

    def _force(self) -> None:
        self.step(
            "Both boot while failover is disabled",
            "A commit disables failover. Then both lose power: after the boot no controller takes the pools by itself. "
            "An operator decides, and confirms it with a word; the disks are claimed all the same before any import.",
        )
        script = f"{BOOT}\nat 0s disable\nat 1s power-loss-both\nat 2s heal power-loss-both\nat 15s force b\nuntil 30s"
        self.show_prediction(self.active(), script=script)
        self._policy("enabled: true", "enabled: false", "No failover while the shelf is moved", enabled=False)
        began_s = time.monotonic()
        for name in CONTROLLERS:
            self.controllers[name].cut_power()
        self.switch_on(*CONTROLLERS)
        for name in CONTROLLERS:
            self.wait_until(f"{name} to wait", lambda name=name: self._waits(name))  # type: ignore[misc]
        self.show_verdict("b")
        self.command("b", "force-activate", "--word", "b")
        forced_s = time.monotonic()
        self.show("\n".join(f"  {line}" for line in self.hagit("b", "force-activate", "--word", "b").splitlines()))
        self.wait_until_active("b")
        self.note(f"b answers {time.monotonic() - forced_s:.1f} s after the command was typed", "done")
        self.report_silence(began_s, "it lasted until the operator decided")
        self._policy("enabled: false", "enabled: true", "Failover again", enabled=True)
        self.wait_until_healthy()
        self.show_verdict("b")

    def _waits(self, name: str) -> bool:
        """Whether a controller is up, hears its peer, and only the policy keeps it from taking the pools."""
        status = self.controllers[name].status()
        if status is None or "NO_FAILOVER" not in self.controllers[name].reasons():
            return False
        return status.phase == "standby" and status.peer.phase == "standby"

    def _policy(self, old: str, new: str, message: str, *, enabled: bool) -> None:
        self.repository.replace(f"  {old}\n", f"  {new}\n")
        head = self.repository.commit(message)
        for name in CONTROLLERS:
            self.wait_until(f"the orders of {head} on {name}", lambda name=name: self._follows(name, enabled))  # type: ignore[misc]
        self.note(f"{new}: both watchdogs follow {head}")

    def _follows(self, name: str, enabled: bool) -> bool:
        status = self.controllers[name].status()
        return status is not None and status.orders.enabled is enabled and status.orders.equal

    def _switch_over(self) -> None:
        one = self.active()
        other = _other(one)
        self.step(
            "hagit switchover",
            f"Gently, by hand, from {one} to {other}: addresses go first and come last, nothing reboots.",
        )
        self.show_prediction(one, "switchover")
        self.command(one, "switchover", "--plan")
        self.show("\n".join(f"  {line}" for line in self.hagit(one, "switchover", "--plan").splitlines()))
        began_s = time.monotonic()
        self.command(one, "switchover")
        output = self.hagit(one, "switchover").splitlines()
        self.wait_until_active(other)
        self.show(f"  {output[-1]}")
        self.report_silence(began_s)
        self.show_failover(other)
        self.wait_until_healthy()
        self.show_verdict(other)

    def _account(self) -> None:
        control = self.control()
        state = control.state()
        control.close()
        self.step("The account", "What the shelf knows after all this; it has seen every command and every write.")
        self.note(f"{state['writes_checked']:,} were acknowledged", "writes")
        if state["broken"]:
            raise StateError(f"an invariant broke: {state['broken']}", where="the shelf")
        self.note("none: every import found all that had been acknowledged, and never could both write", "lost")
        self.note(
            "none here: NFS and iSCSI need real pools; `make lab-demo` serves both to a client, through a power cut",
            "shares",
        )


def _other(name: str) -> str:
    return "b" if name == "a" else "a"
