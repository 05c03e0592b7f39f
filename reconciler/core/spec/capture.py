"""A live controller to the YAML that asks for exactly what is there: planning it on the same controller does nothing.

Decides which observed facts the language can express. Whatever it cannot is left out and named in a comment, with the
reason: what the language refuses is found by loading the text, and taken out until it loads. Loopback and what the
kernel gives itself are left out without a word. Does not know how the facts were observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reconciler.core.facts.fact import (
    DEPRECATED,
    DUPLICATE,
    LEASED,
    NO_PREFIX_ROUTE,
    Address,
    Fact,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Route,
)
from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.core.facts.ownership import MARK_WORD, Owner
from reconciler.core.facts.state import Observed
from reconciler.core.spec.compiler import compile_desired
from reconciler.core.spec.configuration import Configuration
from reconciler.core.spec.loader import load
from reconciler.core.spec.model import API_VERSION
from reconciler.core.spec.pool_capture import captured_pools, lost_of_pools
from reconciler.core.spec.tree import Path, Place, documents
from reconciler.core.spec.values import HOSTNAME, KERNEL_NAME, RESOURCE_NAME
from reconciler.core.spec.yaml_text import yaml_text
from reconciler.errors import Complaint, ConfigurationError

_GROUP = re.compile(r"CriticalGroup([1-9][0-9]{0,2})")


def capture(observed: Observed, controller: str, hostname: str, serial: str) -> str:
    """The desired state of controller "a" or "b" as YAML, one document for each resource.

    `hostname` is used when the host name was not observed; an empty `serial` is left out.
    """
    captured = _Capture(observed, controller)
    captured.collect(hostname, serial)
    captured.take_out_what_is_refused()
    return captured.text()


class _Capture:
    """The resources so far, by `Kind/name`, and what is left out."""

    def __init__(self, observed: Observed, controller: str) -> None:
        self._observed = observed
        self._controller = controller
        self._resources: dict[str, dict[str, Any]] = {}
        self._left_out: list[str] = []
        self._named: dict[str, str] = {}
        self._links = {
            fact.name: fact for fact in observed.facts.values() if isinstance(fact, Link) and fact.name != "lo"
        }

    def collect(self, hostname: str, serial: str) -> None:
        """Everything that looks expressible."""
        for unknown in self._observed.unknown:
            scope = " ".join(unknown.scope) or "everything"
            self._left_out.append(f"{scope}: not known: {unknown.why}")
        self._pair(hostname, serial)
        kept = self._kept()
        names = self._named = self._names(kept)
        for link in kept:
            self._add("Interface", names[link], self._interface(link, names))
        for fact in self._facts(Route):
            assert isinstance(fact, Route)
            self._route(fact, names)
        self._left_out += lost_of_pools(self._observed)
        for kind, wish, spec in captured_pools(self._observed):
            self._add(kind, _unused(wish, {name.partition("/")[2] for name in self._of(kind)}), spec)

    def _of(self, kind: str) -> list[str]:
        return [name for name in self._resources if name.startswith(f"{kind}/")]

    def take_out_what_is_refused(self) -> None:
        """Load the resources, take out what the language refuses, and again, until nothing is refused.

        Raises ConfigurationError when something is refused that cannot be taken out: too much altogether.
        """
        while True:
            texts = {f"{name}.yaml": yaml_text(resource) for name, resource in self._resources.items()}
            try:
                configuration = load({file: text.encode() for file, text in texts.items()})
            except ConfigurationError as error:
                places = {
                    file: _paths(texts[file])
                    for file in {complaint.file for complaint in error.complaints} & texts.keys()
                }
                if not places:
                    raise
                # From the last line to the first, so that what is taken out moves nothing that is still to go.
                for complaint in sorted(error.complaints, reverse=True):
                    if complaint.file in places:
                        path = places[complaint.file].pop((complaint.line, complaint.column), None)
                        self._take_out(complaint, path)
            else:
                self._own_up(configuration)
                return

    def _own_up(self, configuration: Configuration) -> None:
        """Name what hagit made and what could not be written: without a resource it is pruned."""
        asked = set(compile_desired(configuration, self._controller).facts)
        for key, owner in self._observed.owners.items():
            fact = self._observed.facts.get(key)
            if owner is not Owner.AGENT or not isinstance(fact, Address | Route):
                continue
            if isinstance(fact, Address):
                key = ("address", self._named.get(fact.link, fact.link), fact.address)
            if key not in asked:
                what = f"{fact.address} on {fact.link}" if isinstance(fact, Address) else f"route to {fact.destination}"
                self._left_out.append(f"{what}: made by hagit, so planning this removes it")

    def text(self) -> str:
        """All documents, and comments on what is not in them."""
        header = [
            f"# Captured from controller {self._controller}: planning this on it changes nothing.",
            "# Add the other controller under the other letter, and the virtual addresses.",
        ]
        if self._left_out:
            header += ["#", "# Left out:", *(f"# - {_one_line(reason)}" for reason in sorted(set(self._left_out)))]
        parts = [yaml_text(resource) for resource in self._resources.values()]
        return "\n".join(header) + "\n---\n" + "---\n".join(parts)

    def _facts(self, kind: type[Fact]) -> Iterator[Fact]:
        for key in sorted(self._observed.facts):
            fact = self._observed.facts[key]
            if isinstance(fact, kind) and self._observed.owner(key) is not Owner.KERNEL:
                yield fact

    def _add(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        resource = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self._resources[f"{kind}/{name}"] = resource

    def _pair(self, hostname: str, serial: str) -> None:
        seen = self._observed.facts.get(("hostname",))
        name = seen.name if isinstance(seen, Hostname) else hostname
        kernels, differs, files = name.partition("/")
        if differs and re.fullmatch(HOSTNAME, kernels):
            what = (
                f"host name: the kernel has {kernels}, the file {files or 'none'}; this writes the kernel's to the file"
            )
            self._left_out.append(what)
            name = kernels
        if not re.fullmatch(HOSTNAME, name):
            self._left_out.append(f"host name {name}: no host name that others could look up, so it will change")
            name = f"controller-{self._controller}"
        spec: dict[str, Any] = {self._controller: {"hostname": name} | ({"serial": serial} if serial else {})}
        resolver = self._observed.facts.get(("resolver",))
        if isinstance(resolver, Resolver) and resolver.nameservers:
            spec["dns"] = list(resolver.nameservers)
            if len(resolver.search) == 1:
                spec["domain"] = resolver.search[0]
            elif resolver.search:
                spec["search"] = list(resolver.search)
        self._add("Pair", "pair", spec)

    def _kept(self) -> list[str]:
        """Links that the language has something to say about, in the order of their names."""
        up = {fact.link for fact in self._facts(Power) if isinstance(fact, Power) and fact.up}
        masters = {fact.link: fact.master for fact in self._facts(Port) if isinstance(fact, Port)}
        used = {fact.link for fact in self._facts(Address) if isinstance(fact, Address) and not self._moves(fact)}
        used |= {fact.link for fact in self._facts(Route) if isinstance(fact, Route) and fact.link}
        used |= set(masters) | {link.parent for link in self._links.values() if link.parent}
        kept = []
        for name, link in sorted(self._links.items()):
            nic = self._observed.nics.get(name)
            if name not in up:
                self._left_out.append(f"{name}: the link is down, or whether it is up is not known")
            elif link.kind is LinkKind.PHYSICAL and name not in used:
                self._left_out.append(f"{name}: it has no static address and nothing rests on it")
            elif link.kind is LinkKind.PHYSICAL and nic is None:
                self._left_out.append(f"{name}: what identifies the NIC is not known")
            elif nic is not None and nic.driver == "tun":
                self._left_out.append(f"{name}: a tap or tunnel comes and goes with its program")
            elif link.kind is not LinkKind.PHYSICAL and not re.fullmatch(KERNEL_NAME, name):
                self._left_out.append(f"{name}: a resource cannot have this name")
            else:
                kept.append(name)
        return kept

    def _moves(self, address: Address) -> bool:
        return self._observed.owner(address.key) is Owner.WATCHDOG

    def _names(self, kept: list[str]) -> dict[str, str]:
        """Resource names by kernel name: those in hagit's marks, else the kernel's with what is odd replaced."""
        names = {name: name for name in kept if self._links[name].kind is not LinkKind.PHYSICAL}
        taken = set(names.values())
        for link in kept:
            if link in names:
                continue
            words = self._mark(link)
            wish = words[0] if words and re.fullmatch(RESOURCE_NAME, words[0]) else link
            wish = re.sub(r"[^A-Za-z0-9_.-]", "-", wish)
            wish = wish if wish[:1].isalnum() or wish.startswith("_") else f"nic{wish}"
            names[link] = _unused(wish[:60], taken)
        return names

    def _mark(self, link: str) -> list[str]:
        """The words after `hagit` in the alias of a link that carries our mark."""
        mark = self._observed.facts.get(("mark", link))
        words = mark.text.split(" ") if isinstance(mark, Mark) else []
        return words[1:] if words[:1] == [MARK_WORD] else []

    def _interface(self, name: str, names: dict[str, str]) -> dict[str, Any]:
        link = self._links[name]
        half: dict[str, Any] = {}
        if link.kind is LinkKind.PHYSICAL:
            half["match"] = self._match(name)
        self._membership(name)
        addresses = []
        for fact in self._facts(Address):
            if isinstance(fact, Address) and fact.link == name:
                if self._moves(fact):
                    self._left_out.append(f"{fact.address} on {name}: a virtual address, placed by the watchdog")
                    continue
                why = lost_of_address(fact)
                if why is not None:
                    self._left_out.append(f"{fact.address} on {name}: {why}")
                if set(fact.traits) <= {NO_PREFIX_ROUTE}:
                    addresses.append(fact.address)
        if addresses:
            half["addresses"] = addresses
        spec: dict[str, Any] = {self._controller: half} if half else {}
        nic = self._observed.nics.get(name)
        if nic is not None and nic.altnames:
            self._left_out.append(f"{name}: its alternative names ({', '.join(nic.altnames)}) have no place in YAML")
        mtu = self._observed.facts.get(("mtu", name))
        if isinstance(mtu, Mtu):
            spec["mtu"] = mtu.size
        for word in self._mark(name)[1:]:
            if group := _GROUP.fullmatch(word):
                spec |= {"critical": True, "failoverGroup": int(group[1])}
            elif word == "Interlink":
                spec["role"] = "interlink"
        return spec | self._make(link, names)

    def _membership(self, name: str) -> None:
        """Name the master of a link where it is of a kind that the language does not have (a VRF, a team)."""
        port = self._observed.facts.get(("port", name))
        master = self._links.get(port.master) if isinstance(port, Port) else None
        if isinstance(port, Port) and (master is None or master.kind not in (LinkKind.BOND, LinkKind.BRIDGE)):
            nic = self._observed.nics.get(port.master)
            kind = nic.driver if nic is not None and nic.driver else "link of another kind"
            self._left_out.append(f"{name}: that it is a member of {port.master}, a {kind}")

    def _match(self, name: str) -> dict[str, str]:
        """By MAC, unless another NIC has the same one or it is no NIC's own."""
        mac = self._observed.nics[name].mac.lower()
        same = [
            nic
            for nic in self._observed.nics.values()
            if nic.mac.lower() == mac and getattr(self._links.get(nic.name), "kind", None) in (LinkKind.PHYSICAL, None)
        ]
        usable = re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", mac) and mac.strip("0:")
        return {"mac": mac} if usable and len(same) == 1 else {"name": name}

    def _make(self, link: Link, names: dict[str, str]) -> dict[str, Any]:
        if link.kind is LinkKind.VLAN:
            return {"vlan": {"parent": names.get(link.parent or "", link.parent or "?"), "id": link.vlan_id or 0}}
        ports = [fact.link for fact in self._facts(Port) if isinstance(fact, Port) and fact.master == link.name]
        members = [names[port] for port in ports if port in names]
        if link.bond is not None:
            bond: dict[str, Any] = {"mode": str(link.bond.mode), "members": members, "miimon": link.bond.miimon_ms}
            if link.bond.lacp_rate is not None:
                bond["lacpRate"] = str(link.bond.lacp_rate)
            return {"bond": bond | {"hashPolicy": str(link.bond.hash_policy)}}
        if link.kind is LinkKind.BRIDGE:
            return {"bridge": {"members": members, "stp": bool(link.stp)}}
        return {}

    def _route(self, route: Route, names: dict[str, str]) -> None:
        if route.traits:
            what = f"route to {route.destination}{f' metric {route.metric}' if route.metric else ''}"
            self._left_out.append(f"{what}: {', '.join(route.traits)}: hagit leaves such a route alone")
            return
        if route.link is None or self._observed.owner(route.key) is Owner.WATCHDOG:
            self._left_out.append(f"route to {route.destination}: it names no single link")
            return
        spec: dict[str, Any] = {"destination": route.destination, "interface": names.get(route.link, route.link)}
        if route.gateway is not None:
            spec["gateway"] = route.gateway
        wish = {"0.0.0.0/0": "default", "::/0": "default6"}.get(route.destination)
        wish = wish or "to-" + re.sub(r"[^A-Za-z0-9]+", "-", route.destination)
        taken = {name.partition("/")[2] for name in self._resources if name.startswith("Route/")}
        self._add("Route", _unused(wish, taken), spec | {"metric": route.metric})

    def _take_out(self, complaint: Complaint, path: Path | None) -> None:
        """Take out the smallest part that a complaint is about: one address, member or value, else the resource.

        The path is None when it has been taken out already for another complaint.
        """
        name = complaint.file.removesuffix(".yaml")
        resource = self._resources.get(name)
        if resource is None or path is None:
            return
        self._left_out.append(f"{name}: {complaint.what}")
        if name.startswith("Pair/"):
            self._take_out_of_pair(resource["spec"], path)
        elif path[1:] == ("mtu",) or path[1:2] == ("properties",) or path[2:3] in (("addresses",), ("members",)):
            _delete(resource, path)
        else:
            del self._resources[name]

    def _take_out_of_pair(self, spec: dict[str, Any], path: Path) -> None:
        if path[-1:] == ("serial",):
            del spec[self._controller]["serial"]
            return
        for key in ("dns", "domain", "search"):
            spec.pop(key, None)


def lost_of_address(address: Address) -> str | None:
    """What of an address YAML cannot say, None where it is a plain static one."""
    words = []
    for trait in address.traits:
        if trait == LEASED:
            words.append("it has a lifetime, so another program leased it: written here, hagit would make it permanent")
        elif trait == DEPRECATED:
            words.append("it is deprecated: written here, hagit would make it preferred")
        elif trait == DUPLICATE:
            words.append("another machine has it: duplicate address detection failed")
        elif trait == NO_PREFIX_ROUTE:
            words.append("that it was added without the route to its network (noprefixroute)")
        else:
            words.append(f"it has a {trait}, which YAML cannot say")
    return "; ".join(words) or None


def _paths(text: str) -> dict[Place, Path]:
    """Which value of a resource begins at which place; of several the innermost."""
    document = next(iter(documents("", text)))
    return {place: path for path, place in sorted(document.values.items(), key=lambda item: len(item[0]))}


def _delete(resource: dict[str, Any], path: Path) -> None:
    inner: Any = resource
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]


def _unused(wish: str, taken: set[str]) -> str:
    name, number = wish, 2
    while name in taken:
        name, number = f"{wish}-{number}", number + 1
    taken.add(name)
    return name


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
