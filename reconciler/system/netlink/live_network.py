"""LiveNetwork: the network of the controller this process runs on, in the network namespace it runs in.

Joins the parts; decides which adapter answers for which fact. Does not know what is desired.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from reconciler.core.facts.fact import Fact, Key, Mtu
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Nic, Observed, Unknown
from reconciler.core.facts.storage import StorageFact
from reconciler.errors import ObservationError, PerformError
from reconciler.system import network_managers
from reconciler.system.host_settings import HostSettings
from reconciler.system.netlink.changes import Changes
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.netlink.look import NarrowLook, look_at_all
from reconciler.system.netlink.refusal import deed, place, refusal
from reconciler.system.netlink.wire import MalformedMessage


class LiveNetwork:
    """Reads and changes the live network. Belongs to one thread. Implements `NetworkAdapter`.

    `root` is where the files of other network managers are looked for.
    """

    def __init__(self, hostname_file: Path, resolver_file: Path, root: Path = Path("/")) -> None:
        self._resolver_file = resolver_file
        self._root = root
        self._settings = HostSettings(root, {"hostname": hostname_file, "resolver": resolver_file})
        try:
            self._channel = NetlinkChannel()
        except OSError as problem:
            raise ObservationError(
                f"cannot open a netlink socket: {problem.strerror}", remedy="raise the limit of open files"
            ) from problem
        self._narrow = NarrowLook(self._channel)
        self._changes = Changes(self._channel, self._narrow)

    def close(self) -> None:
        """Gives the socket back."""
        self._channel.close()

    def observe(self) -> Observed:
        """One look at everything. Raises ObservationError when nothing at all could be read."""
        look = look_at_all(self._channel)
        for fact, owner in self._settings.observe():
            if isinstance(fact, Unknown):
                look.unknown.append(fact)
                continue
            look.facts[fact.key] = fact
            if owner is not Owner.FOREIGN:
                look.owners[fact.key] = owner
        if not look.facts and not look.names:
            raise ObservationError("; ".join(dict.fromkeys(scope.why for scope in look.unknown)) or "no network here")
        indices = {name: index for index, name in look.names.items() if index not in look.loopback}
        return Observed(
            facts=MappingProxyType(look.facts),
            owners=MappingProxyType(look.owners),
            nics=MappingProxyType(look.nics),
            unknown=tuple(look.unknown),
            managers=MappingProxyType(network_managers.claims(self._root, indices, self._resolver_file)),
        )

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """A narrow look at a few keys, None where there is no such fact. Raises ObservationError."""
        answers = self._narrow.at(keys)
        for key in keys:
            if key not in answers:
                answers[key] = self._settings.observe_key(key)
        return answers

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """One change of one fact. Raises PerformError."""
        try:
            fact = after if after is not None else before
            if isinstance(fact, HostSetting):
                self._settings.write(fact.key, after if isinstance(after, HostSetting) else None)
            else:
                assert not isinstance(before, HostSetting | StorageFact)
                assert not isinstance(after, HostSetting | StorageFact)
                self._changes.make(before, after)
        except KernelRefused as problem:
            raise refusal(problem, before, after, self._limits(after)) from problem
        except ValueError as problem:
            assert fact is not None
            raise PerformError(f"cannot {deed(before, after)}: {problem}", where=place(fact)) from problem
        except (Unreadable, MalformedMessage) as problem:
            assert fact is not None
            raise PerformError(
                f"cannot tell whether it was possible to {deed(before, after)}: {problem}",
                where=place(fact),
                remedy="look at the link, then make a new plan",
            ) from problem

    def _limits(self, after: Fact | None) -> Nic | None:
        if not isinstance(after, Mtu):
            return None
        record = self._narrow.link(after.link)
        return record.nic if record is not None else None
