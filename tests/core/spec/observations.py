"""Random live controllers, as a kernel could show them: what hypothesis draws for the tests of `capture`."""

import ipaddress
from dataclasses import dataclass, field

from hypothesis import strategies as st

from reconciler.core.facts.fact import (
    Address,
    BondMode,
    BondOptions,
    Fact,
    HashPolicy,
    Key,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Route,
)
from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.core.facts.ownership import Owner, mark_text
from reconciler.core.facts.state import Nic, Observed, Unknown, facts_by_key

NAMES = ["eth0", "eth1", "enp3s0f1", "bond0", "br-lan", "storage.20", "vm_net", "v@odd", "-x", "lo"]
ADDRESSES = st.one_of(
    st.integers(0, 2**10).map(lambda host: f"{ipaddress.ip_address('10.0.0.0') + host}"),
    st.integers(0, 2**6).map(lambda host: f"{ipaddress.ip_address('fd00::') + host}"),
    st.sampled_from(["fe80::1", "127.0.0.1", "169.254.1.1", "224.0.0.5"]),
)
MODES = [LinkKind.PHYSICAL, LinkKind.PHYSICAL, LinkKind.BOND, LinkKind.VLAN, LinkKind.BRIDGE]


@dataclass
class Seen:
    """A look in the making."""

    facts: dict[Key, Fact] = field(default_factory=dict)
    owners: dict[Key, Owner] = field(default_factory=dict)
    nics: dict[str, Nic] = field(default_factory=dict)

    def add(self, fact: Fact, owner: Owner = Owner.FOREIGN) -> None:
        if fact.key not in self.facts:
            self.facts[fact.key] = fact
            if owner is not Owner.FOREIGN:
                self.owners[fact.key] = owner


@st.composite
def observations(draw: st.DrawFn) -> Observed:
    """A controller with some links, ports, addresses, routes, hostname and resolver."""
    seen = Seen()
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=7))
    kinds = {name: draw(st.sampled_from(MODES)) for name in names}
    for number, name in enumerate(names):
        _link(draw, seen, name, kinds, names[:number])
        seen.add(Power(name, draw(st.sampled_from([True, True, True, False]))))
        seen.add(Mtu(name, draw(st.sampled_from([0, 68, 1000, 1500, 9000, 65_536, 70_000]))))
        _mark(draw, seen, name, kinds[name])
        mac = f"02:00:00:00:00:{draw(st.integers(0, 9)):02x}"
        seen.nics[name] = Nic(name, draw(st.sampled_from([mac, mac, "", "00:00:00:00:00:00"])))
    for name in names:
        masters = [other for other in names if kinds[other] in (LinkKind.BOND, LinkKind.BRIDGE) and other != name]
        if masters and draw(st.booleans()):
            seen.add(Port(name, draw(st.sampled_from(masters))))
        for address in draw(st.lists(ADDRESSES, max_size=3)):
            length = draw(st.sampled_from([8, 24, 30, 32] if ":" not in address else [48, 64, 128]))
            seen.add(Address(name, f"{address}/{length}"), draw(st.sampled_from(list(Owner))))
    for _ in range(draw(st.integers(0, 4))):
        _route(draw, seen, names)
    unknown = draw(st.sampled_from([(), (), (Unknown(("hostname",), "no permission"),)]))
    if not unknown:
        seen.add(Hostname(draw(st.sampled_from(["storage-a", "a.example.org"]))))
    if draw(st.booleans()):
        servers = draw(st.lists(st.sampled_from(["10.0.0.2", "fd00::2", "127.0.0.53", "0.0.0.0"]), max_size=4))
        search = draw(st.lists(st.sampled_from(["example.org", "lan", "a.b.", "x_y"]), max_size=2))
        seen.add(Resolver(tuple(servers), tuple(search)))
    return Observed(facts_by_key(seen.facts.values()), seen.owners, seen.nics, unknown)


def _link(draw: st.DrawFn, seen: Seen, name: str, kinds: dict[str, LinkKind], before: list[str]) -> None:
    kind = kinds[name]
    if kind is LinkKind.BOND:
        mode = draw(st.sampled_from(list(BondMode)))
        rate = draw(st.sampled_from(list(LacpRate))) if mode is BondMode.LACP else None
        options = BondOptions(mode, draw(st.sampled_from([0, 100])), draw(st.sampled_from(list(HashPolicy))), rate)
        seen.add(Link(name, kind, bond=options))
    elif kind is LinkKind.BRIDGE:
        seen.add(Link(name, kind, stp=draw(st.booleans())))
    elif kind is LinkKind.VLAN and before:
        seen.add(Link(name, kind, parent=draw(st.sampled_from(before)), vlan_id=draw(st.integers(0, 3))))
    else:
        kinds[name] = LinkKind.PHYSICAL
        seen.add(Link(name, LinkKind.PHYSICAL))


def _mark(draw: st.DrawFn, seen: Seen, name: str, kind: LinkKind) -> None:
    resource = name if kind is not LinkKind.PHYSICAL else f"res-{name.replace('@', '-')}"
    texts = [None, "uplink to the switch", mark_text(resource, None, False), mark_text(resource, 1, False)]
    text = draw(st.sampled_from([*texts, mark_text(resource, None, True)]))
    if text is not None:
        seen.add(Mark(name, text))


def _route(draw: st.DrawFn, seen: Seen, names: list[str]) -> None:
    destination = draw(st.sampled_from(["0.0.0.0/0", "::/0", "10.9.0.0/16", "fd01::/64", "10.9.0.1/32"]))
    gateway = draw(st.one_of(st.none(), ADDRESSES))
    link = draw(st.sampled_from([*names, None]))
    metric = draw(st.sampled_from([1024, 100] if ":" in destination else [0, 20, 100]))
    if gateway is None and link is None:
        return
    seen.add(Route(destination, gateway, link, metric), draw(st.sampled_from(list(Owner))))
