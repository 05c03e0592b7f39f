"""A member of a virtual host: the pure election, driven by real time and a real socket, as a program.

    python -m tests.system.carp.participant INTERFACE VHID PASSWORD VIRTUAL ADVBASE ADVSKEW OWN PEER [preempt] [rising]

OWN is the address it sends from (`-`: none, or with IPv6 the kernel's choice), PEER the other member (`-`: anybody).
With `rising` the counters of the other must rise. Prints its role whenever it changes and what each packet was. The
line `leave` on its input makes it take its leave.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from ipaddress import IPv4Address, ip_address, ip_interface

from reconciler.core.failover.carp.advertisement import (
    Advertisement,
    carp_key,
    decode_advertisement,
    encode_advertisement,
)
from reconciler.core.failover.carp.election import CarpRole, Elected, begin, elapsed, farewell, heard
from reconciler.core.failover.carp.monitor import Overheard, PacketKind, Parties, overhear
from reconciler.system.carp import CarpSocket, Family


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def main() -> None:
    interface, vhid, password, virtual, advbase, advskew, own, peer, *options = sys.argv[1:]
    family = Family.IPV4 if ip_interface(virtual).version == 4 else Family.IPV6
    carp = CarpSocket(family, socket.if_nametoindex(interface))
    key = carp_key(password.encode(), int(vhid), [virtual])
    source = None if own == "-" else IPv4Address(own)
    parties = Parties(
        own=frozenset() if source is None else frozenset({source}),
        peer=None if peer == "-" else frozenset({ip_address(peer)}),
        rising="rising" in options,
    )
    election = begin(
        now_ms(), vhid=int(vhid), advbase=int(advbase), advskew=int(advskew), source=source.packed if source else b"",
        counter=1 << 40, preempt="preempt" in options,
    )  # fmt: skip
    overheard = Overheard()
    print("role BACKUP", flush=True)

    def follow(step: Elected) -> None:
        nonlocal election
        if step.advertise is not None:
            problem = carp.send(encode_advertisement(step.advertise, key), source)
            if problem:
                print("unsent", problem, flush=True)
        if step.election.role is not election.role:
            print("role", step.election.role, flush=True)
        election = step.election

    while True:
        wait_s = max(0, election.due_ms - now_ms()) / 1_000
        ready, _, _ = select.select([carp, sys.stdin], [], [], wait_s)
        if sys.stdin in ready:
            if sys.stdin.readline() != "leave\n":
                return
            follow(farewell(election, now_ms()))
            return
        for packet in carp.receive():
            found = decode_advertisement(packet.data, key)
            advertising = election.role is CarpRole.MASTER
            overheard, what = overhear(overheard, found, packet.source, parties, now_ms(), advertising=advertising)
            print("heard", what, packet.source, flush=True)
            if what is PacketKind.GOOD and isinstance(found, Advertisement):
                follow(heard(election, found, packet.source.packed, now_ms()))
        follow(elapsed(election, now_ms()))


if __name__ == "__main__":
    main()
