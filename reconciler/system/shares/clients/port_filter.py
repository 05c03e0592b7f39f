"""PortFilter: packets to and from the services of the virtual addresses are dropped, or not, by nftables.

One table of hagit's own, `inet hagit_shares`, drops in the hooks that come first (priority raw, before any connection
tracking), so the kernel's answer to a port without a listener (RST, ICMP) does not arise, and what closing sockets send
does not leave. Other addresses, other ports and other tables are not concerned. Every change is one transaction.
nft(8) reads the table as JSON (libnftables-json(5)) on its standard input; its removal, for which clients wait, is one
message to the kernel. Decides no moment: see `guard`.
"""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from reconciler.system.findings import Finding
from reconciler.system.netlink import wire
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.process import Finished, Missing, TimedOut, run
from reconciler.system.shares.clients.services import ServicePoints

TABLE: Final = "hagit_shares"
FAMILY: Final = "inet"
#: A transaction takes milliseconds. A program that takes longer than this is killed.
NFT_S: Final = 5.0
OUTPUT_BYTES_MAX: Final = 1 << 20
ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
#: nft opens its own name for "-", /dev/stdin, which exists only where udev or an init program has made the link.
STANDARD_INPUT: Final = "/proc/self/fd/0"
#: NF_IP_PRI_RAW: before connection tracking, which begins at -200 (linux/netfilter_ipv4.h).
PRIORITY_RAW: Final = -300

# Two messages of linux/netfilter/nf_tables.h about the table of this name: is it there, and its removal. Clients wait
# for the removal, and the start of a program would make it last a hundred times as long.
_NETLINK_NETFILTER: Final = 12
_NFTABLES: Final = 10  # NFNL_SUBSYS_NFTABLES
_GET_TABLE: Final = _NFTABLES << 8 | 1  # NFT_MSG_GETTABLE
_REMOVE_TABLE: Final = _NFTABLES << 8 | 2  # NFT_MSG_DELTABLE
_NFPROTO_INET: Final = 1
_NFGENMSG: Final = struct.Struct("!BBH")
_TABLE_NAME: Final = 1  # NFTA_TABLE_NAME

_DIRECTIONS: Final = (("incoming", "prerouting", "daddr", "dport"), ("outgoing", "output", "saddr", "sport"))
_SETS: Final = (("addresses4", "ipv4_addr"), ("addresses6", "ipv6_addr"), ("ports", "inet_service"))
_HEADERS: Final = (("ip", "addresses4"), ("ip6", "addresses6"))


class Dropped(StrEnum):
    """Which packets of the services are dropped. ALL: to them and from them. INCOMING: only to them. NONE: none."""

    ALL = "all"
    INCOMING = "incoming"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class FilterState:
    """What the kernel has. `packets`: dropped since the last change."""

    dropped: Dropped
    points: ServicePoints
    packets: int


class PortFilter:
    """The table in the network namespace of the calling thread. `program` is nft(8), a name or a path.

    No method raises for what the kernel or the program does; a Finding says it. May block for NFT_S.
    """

    def __init__(self, program: str = "nft") -> None:
        self._program = program

    def close(self, points: ServicePoints, *, outgoing: bool = True) -> Finding | None:
        """Drop the packets to these service points and, if `outgoing`, also those from them.

        Replaces what an earlier call or process left in the table. Without any point the filter is open.
        """
        return self._change(_closed(points, outgoing) if points else _opened())

    def open(self) -> Finding | None:
        """Drop nothing and remove the table, by one message to the kernel. Does nothing if there is none."""
        try:
            channel = NetlinkChannel(_NETLINK_NETFILTER)
        except OSError as problem:
            return _refused(f"netlink: {problem.strerror}")
        try:
            channel.transact(_NFTABLES, _REMOVE_TABLE, _table())
        except KernelRefused as refusal:
            return None if refusal.code == errno.ENOENT else _refused(str(refusal))
        except (Unreadable, wire.MalformedMessage) as problem:
            return _refused(str(problem))
        finally:
            channel.close()
        return None

    def check(self, points: ServicePoints) -> Finding | None:
        """Return what would make `close` fail. The kernel checks the transaction and performs none of it."""
        return self._change(_closed(points, True), "--check")

    def state(self) -> FilterState | Finding:
        """Return what the kernel has now."""
        outcome = self._run(["--json", "list", "table", FAMILY, TABLE], b"")
        if isinstance(outcome, Finished):
            if outcome.code == 0 and not outcome.truncated:
                return _read_state(outcome.stdout)
            if b"No such file or directory" in outcome.stderr:
                return FilterState(Dropped.NONE, ServicePoints(), 0)
        return _finding(outcome)

    def is_closed(self) -> bool:
        """Return whether the table is there, by one message to the kernel. False if the kernel has no tables."""
        try:
            channel = NetlinkChannel(_NETLINK_NETFILTER)
        except OSError:
            return False
        try:
            channel.ask(_GET_TABLE, _table())
        except (KernelRefused, Unreadable, wire.MalformedMessage):
            return False
        finally:
            channel.close()
        return True

    def _change(self, commands: list[dict[str, Any]], *options: str) -> Finding | None:
        text = json.dumps({"nftables": commands}).encode()
        outcome = self._run([*options, "--json", "--file", STANDARD_INPUT], text)
        return None if isinstance(outcome, Finished) and outcome.code == 0 else _finding(outcome)

    def _run(self, arguments: list[str], stdin: bytes) -> Finished | TimedOut | Missing:
        argv = [self._program, *arguments]
        return run(argv, stdin=stdin, timeout_s=NFT_S, env=ENVIRONMENT, output_bytes_max=OUTPUT_BYTES_MAX)


def _table() -> bytes:
    """The body of a message about the table."""
    return _NFGENMSG.pack(_NFPROTO_INET, 0, 0) + wire.text(_TABLE_NAME, TABLE)


def _opened() -> list[dict[str, Any]]:
    """Adding first makes the deletion succeed in every case; both are one transaction."""
    table = {"table": {"family": FAMILY, "name": TABLE}}
    return [{"add": table}, {"delete": table}]


def _closed(points: ServicePoints, outgoing: bool) -> list[dict[str, Any]]:
    here = {"family": FAMILY, "table": TABLE}
    elements = {
        "addresses4": [address for address in points.addresses if ":" not in address],
        "addresses6": [address for address in points.addresses if ":" in address],
        "ports": list(points.ports),
    }
    commands: list[dict[str, Any]] = [*_opened(), {"add": {"table": {"family": FAMILY, "name": TABLE}}}]
    for name, kind in _SETS:
        content = {"elem": elements[name]} if elements[name] else {}
        commands.append({"add": {"set": {**here, "name": name, "type": kind, **content}}})
    for name, hook, address, port in _DIRECTIONS if outgoing else _DIRECTIONS[:1]:
        chain = {**here, "name": name, "type": "filter", "hook": hook, "prio": PRIORITY_RAW, "policy": "accept"}
        commands.append({"add": {"chain": chain}})
        for header, places in _HEADERS:
            rule = {
                **here,
                "chain": name,
                "expr": [
                    _match({"payload": {"protocol": header, "field": address}}, f"@{places}"),
                    _match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}),
                    _match({"payload": {"protocol": "th", "field": port}}, "@ports"),
                    {"counter": {"packets": 0, "bytes": 0}},
                    {"drop": None},
                ],
            }
            commands.append({"add": {"rule": rule}})
    return commands


def _match(left: dict[str, Any], right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def _read_state(text: bytes) -> FilterState | Finding:
    try:
        listed: list[dict[str, Any]] = json.loads(text)["nftables"]
        sets = {each["set"]["name"]: each["set"].get("elem", []) for each in listed if "set" in each}
        chains = {each["chain"]["name"] for each in listed if "chain" in each}
        counters = [
            part["counter"]["packets"]
            for each in listed
            if "rule" in each
            for part in each["rule"]["expr"]
            if "counter" in part
        ]
        points = ServicePoints((*sets["addresses4"], *sets["addresses6"]), tuple(sets["ports"]))
        dropped = Dropped.ALL if "outgoing" in chains else Dropped.INCOMING if "incoming" in chains else Dropped.NONE
        return FilterState(dropped, points, sum(counters))
    except (ValueError, KeyError, TypeError):
        evidence = f"nft lists the table {FAMILY} {TABLE} in a form that hagit does not know"
        return Finding("port-filter-unknown", _TEXT, evidence, f"look at it: nft list table {FAMILY} {TABLE}")


_TEXT: Final = "the ports of the shares cannot be kept silent while a virtual address moves: clients wait longer"


def _finding(outcome: Finished | TimedOut | Missing) -> Finding:
    if isinstance(outcome, Missing):
        evidence = f"the program {outcome.program} cannot be started: {outcome.why}"
        return Finding("port-filter-no-program", _TEXT, evidence, "apt-get install nftables")
    if isinstance(outcome, TimedOut):
        evidence = f"nft did not end within {outcome.timeout_s:g} s"
        return Finding("port-filter-silent", _TEXT, evidence, "try it by hand: nft list ruleset")
    said = " ".join(outcome.stderr.decode(errors="replace").split())
    said = "".join(letter for letter in said if letter.isprintable())[:200]
    return _refused(f"nft ended with status {outcome.code}: {said}")


def _refused(evidence: str) -> Finding:
    remedy = "try it by hand: nft list ruleset; the kernel needs CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET"
    return Finding("port-filter-refused", _TEXT, evidence, remedy)
