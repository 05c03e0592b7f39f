"""A cluster of Pacemaker and corosync on the emulated pair, in place of the project's watchdog.

It has the same machines, disks, pool, networks, writer and client. Each boot creates what Debian's packages would set
up in a system (users, directories) and what an administrator writes (`pacemaker_files`). Decides when the cluster is
well and what must hold after a power cut, so that only a working cluster is measured. Reads from the logs of the
survivor when each part of a failover was over. The agents are shell scripts that start many programs, which costs more
under emulation than on a real machine.

On shelves without PREEMPT AND ABORT, a program replaces sg_persist(8) and sends PREEMPT instead. fence_scsi(8) has an
option for that (`sg_persist_path`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Final
from xml.etree import ElementTree

from tests.lab.benchmarks.pacemaker_files import ADDRESS, FENCING, POOL, Node, configuration, corosync_conf, scsi_key
from tests.lab.pair.emulated_pair import VIRTUAL, EmulatedPair
from tests.lab.pair.head import Head
from tests.lab.peers import laid_over

LOGS: Final = "/var/log/corosync/corosync.log /var/log/pacemaker/pacemaker.log"
#: The log lines with which the parts of a failover end, in the order in which they happen.
MARKS: Final = {
    "token": r"\[TOTEM \] A processor failed, forming new configuration",
    "membership": r"\[TOTEM \] A new membership",
    "asked": r"Requesting peer fencing \(reboot\)",
    "fenced": r"Operation 'reboot' targeting \S+ by \S+ for .*: OK",
    "pool": rf"Result of start operation for {POOL} on .*: ok",
    "address": rf"Result of start operation for {ADDRESS} on .*: ok",
}
SYSTEM: Final = """
grep -q hacluster /etc/passwd || echo hacluster:x:189:189::/var/lib/pacemaker:/bin/false >> /etc/passwd
grep -q haclient /etc/group || echo haclient:x:189: >> /etc/group
mkdir -p /etc/corosync /var/log/corosync /var/lib/corosync /run/cluster /run/resource-agents /var/log/pacemaker
for name in blackbox cib cores pengine; do mkdir -p /var/lib/pacemaker/$name; done
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
chmod -R 750 /var/lib/pacemaker /var/log/pacemaker
"""
CLOCK_TRIES: Final = 5
#: Programs that the agents call, and with which they parse output: links of the host outside /usr.
ALTERNATIVES: Final = (Path("/etc/alternatives/which"), Path("/etc/alternatives/awk"))
#: For a target that supports PREEMPT only.
WITHOUT_ABORT: Final = "/run/sg_persist"
WRAPPER: Final = (
    '#!/bin/sh\nfor word; do shift; [ "$word" = -A ] && word=-P; set -- "$@" "$word"; done\nexec sg_persist "$@"\n'
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What crm_mon(8) reports: the members, where each resource runs, what failed."""

    dc: str
    online: frozenset[str]
    running: Mapping[str, str]
    failures: tuple[str, ...]


def seen(text: str) -> Seen:
    """Parse the XML of crm_mon(8)."""
    root = ElementTree.fromstring(text)
    nodes = {
        node.get("name", "")
        for node in root.findall("./nodes/node")
        if (node.get("online"), node.get("pending"), node.get("unclean")) == ("true", "false", "false")
    }
    running = {}
    for resource in root.iter("resource"):
        places = [node.get("name", "") for node in resource.findall("node")]
        if (resource.get("role"), resource.get("active"), resource.get("failed")) == ("Started", "true", "false"):
            running[resource.get("id", "")] = ",".join(places)
    dc = root.find("./summary/current_dc")
    failures = tuple(str(dict(failure.attrib)) for failure in root.findall("./failures/failure"))
    return Seen(dc.get("name", "") if dc is not None else "", frozenset(nodes), running, failures)


def moments(log: str, year: int) -> dict[str, float]:
    """Return when each part of the last failover in these lines ended: seconds since 1970, on the clock of the log."""
    found = {}
    for line in log.splitlines():
        stamp = re.match(r"(\w{3} \d\d \d\d:\d\d:\d\d(?:\.\d+)?) ", line)
        for name, pattern in MARKS.items():
            if stamp and re.search(pattern, line):
                text = stamp[1] if "." in stamp[1] else f"{stamp[1]}.0"
                found[name] = (
                    datetime.strptime(f"{year} {text}", "%Y %b %d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
                )
    return found


class Cluster:
    """Both machines of a pair as nodes. `tree` has the programs, and both machines share it; `begin` starts anew."""

    def __init__(self, pair: EmulatedPair, tree: Path, token_ms: int, *, aborts: bool) -> None:
        """`aborts`: whether the shelf supports PREEMPT AND ABORT."""
        self.token_ms = token_ms
        self._pair, self._tree, self._aborts = pair, tree, aborts
        self._nodes = [
            Node(head.machine.name, (f"10.79.1.{11 + number}", head.address)) for number, head in enumerate(pair.heads)
        ]
        self._disks = [f"/dev/disk/by-id/{name}" for name in pair.orders.disks]

    # Life ------------------------------------------------------------------------------------------------------------

    def begin(self) -> Head:
        """Start a cluster from machines in any state. Returns once it is well and the disks have only its own keys."""
        for head in self._pair.heads:
            head.pull_the_plug()
        for head in self._pair.heads:
            head.launch()
        for head in self._pair.heads:
            head.ready()
        for disk in self._disks:
            key = f"sg_persist -n -o --register-ignore --param-sark=77 {disk}"
            self._pair.a.machine.check(f"sg_turs {disk}; {key} || {key}; sg_persist -n -o --clear --param-rk=77 {disk}")
        for head in self._pair.heads:
            self._start(head)
        self._until(lambda: len(self.see(self._pair.a).online) == len(self._nodes), "both nodes are online")
        sg_persist = "" if self._aborts else WITHOUT_ABORT
        text = configuration(self._nodes, self._disks, f"{VIRTUAL}/24", "eth0", sg_persist)
        self._pair.a.machine.check(f"cibadmin --replace --scope configuration --xml-text {quote(text)}")
        return self.well()

    def boot(self, head: Head) -> None:
        """Switch a machine on that was off; it joins the cluster."""
        head.power_on()
        self._start(head)

    def _start(self, head: Head) -> None:
        number = self._pair.heads.index(head)
        check = head.machine.check
        check(laid_over(self._tree))
        check(SYSTEM)
        for program in ALTERNATIVES:
            check(f"mkdir -p {program.parent} && ln -sfn {program.readlink()} {program}")
        check(f"ip address add {self._nodes[number].addresses[0]}/24 dev eth1")
        check(f"printf %s {quote(WRAPPER)} > {WITHOUT_ABORT} && chmod 755 {WITHOUT_ABORT}")
        check(f"printf %s {quote(corosync_conf(self._nodes, self.token_ms))} > /etc/corosync/corosync.conf")
        check("corosync")
        check("setsid pacemakerd < /dev/null > /dev/null 2>&1 &")

    def clock_s(self, head: Head) -> float:
        """Return what its clock says, in seconds since 1970, when this host's monotonic clock says 0."""
        tries = []
        for _ in range(CLOCK_TRIES):
            before = time.monotonic()
            told = float(head.machine.check("date +%s.%N"))
            tries.append((time.monotonic() - before, told - before))
        # The quickest answer is the least late one; half of its time may be the way back.
        took_s, difference_s = min(tries)
        return difference_s - took_s / 2

    # What it says ----------------------------------------------------------------------------------------------------

    def see(self, head: Head) -> Seen:
        """Return what a node sees; empty while it has not joined."""
        told = head.machine.run("crm_mon --one-shot --output-as=xml", 30)
        return seen(told.out) if told.status == 0 else Seen("", frozenset(), {}, ())

    def well(self) -> Head:
        """Wait until both are members and can be fenced, and one has pool and address. Returns that one."""
        found: list[Seen] = [Seen("", frozenset(), {}, ())]

        def ready() -> bool:
            found[0] = now = self.see(self._pair.a)
            both = now.online == {node.name for node in self._nodes}
            if not both or not set(now.running) >= {FENCING, POOL, ADDRESS} or now.failures:
                return False
            # A node registers its keys only when it joins.
            return self._unfenced(self._pair.a, {node.name for node in self._nodes}) == []

        self._until(ready, "both nodes are online and registered; fencing, pool and address started")
        (active,) = (head for head in self._pair.heads if head.machine.name == found[0].running[POOL])
        self._pair.say(f"{found[0].running}, DC {found[0].dc}")
        return active

    def parts(self, new: Head, cut_s: float) -> dict[str, float]:
        """Return when each part of a failover ended, in ms since the cut; `cut_s` is on the clock of the new one."""
        pattern = "|".join(MARKS.values())
        log = new.machine.check(f"grep -hE {quote(pattern)} {LOGS}")
        found = moments(log, datetime.now(UTC).year)
        late = {name: (moment - cut_s) * 1_000 for name, moment in found.items()}
        assert list(late) and all(late.get(name, -1) >= 0 for name in MARKS), f"{late}\n{log}"
        return {name: late[name] for name in MARKS}

    def logs(self) -> str:
        """Return the end of the nodes' logs."""
        heads = [head for head in self._pair.heads if head.on]
        command = f"crm_mon -1 2>&1; for log in {LOGS}; do echo $log; tail -n 40 $log | cut -c1-200; done"
        return "\n".join(f"== {head.machine.name}\n{head.machine.run(command).out}" for head in heads)

    # Check -----------------------------------------------------------------------------------------------------------

    def verify(self, new: Head) -> None:
        """Check that the other is off and fenced, pool and address are here, and no acknowledged record is lost."""
        here = {POOL: new.machine.name, ADDRESS: new.machine.name}
        self._until(lambda: self.see(new).running.items() >= here.items(), "pool and address are started")
        assert self.see(new).failures == (), self.logs()
        assert new.pools() == ["tank"], self.logs()
        unfenced = self._unfenced(new, {new.machine.name})
        assert unfenced == [], "\n".join([*unfenced, self.logs()])
        self._pair.intact(new)

    def _unfenced(self, head: Head, names: set[str]) -> list[str]:
        """Return the disks with keys of other nodes, or without a reservation of these, and what they have."""
        wanted = {scsi_key(name) for name in names}
        found = []
        for disk in self._disks:
            told = head.machine.check(
                f"sg_persist -n -i --read-keys {disk}; sg_persist -n -i --read-reservation {disk}"
            )
            keys = {int(key, 16) for key in re.findall(r"^\s+0x([0-9a-f]+)$", told, re.MULTILINE)}
            holder = re.search(r"Key=0x([0-9a-f]+)$", told, re.MULTILINE)
            held = holder is not None and int(holder[1], 16) in wanted
            if keys != wanted or not held or "Write Exclusive, registrants only" not in told:
                found.append(f"{disk}, which should be of {', '.join(sorted(names))}: {told}")
        return found

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            self._pair.until(condition, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
