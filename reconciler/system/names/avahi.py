"""The announcement of the virtual host name by mDNS (RFC 6762): avahi-daemon makes it, asked over D-Bus.

An entry group of avahi lasts as long as the connection of its owner, so an agent that ends, by whatever cause, ends the
announcement, and avahi tells the clients. Each address is announced on its own link alone. No reverse records: avahi
gives those to the controller's own name. See org.freedesktop.Avahi.EntryGroup.xml in avahi.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import Any, Final

from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from reconciler.core.facts.virtual_name import MulticastName
from reconciler.errors import PublicationError
from reconciler.system.addresses.links import Links
from reconciler.system.addresses.snapshot import Blind

#: For one answer of the bus.
ANSWER_S: Final = 5.0
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE: Final = "org.freedesktop.Avahi"
#: avahi-common/defs.h and address.h.
_NO_REVERSE: Final = 16
_ANY_PROTOCOL: Final = -1
_ESTABLISHED, _COLLISION, _FAILURE = 2, 3, 4
_SERVER: Final = DBusAddress("/", SERVICE, f"{SERVICE}.Server")
_INSTALL: Final = "apt-get install avahi-daemon, and see: systemctl status avahi-daemon dbus"


def require_installed() -> None:
    """Raise PublicationError unless avahi-daemon is installed here."""
    if shutil.which("avahi-daemon", path=_PATH) is None:
        raise PublicationError("avahi-daemon is not installed", remedy="apt-get install avahi-daemon")


class AvahiAnnouncement:
    """The announcement of one name. Belongs to one thread."""

    def __init__(self) -> None:
        self._connection: DBusConnection | None = None
        self._group: DBusAddress | None = None
        self._announced: tuple[str, tuple[tuple[int, str], ...]] | None = None

    def publish(self, name: MulticastName) -> bool:
        """Announce the name with those of its addresses that are on this controller; True when that has changed.

        Calling it again finds out whether the announcement still stands, and makes it again after a restart of avahi.
        Raises PublicationError.
        """
        placed = _links_of(name.addresses)
        if not placed:
            self.withdraw()
            raise PublicationError("no virtual address is on this controller yet", where=name.name)
        wanted = (name.name, placed)
        try:
            if self._announced == wanted and self._group is not None:
                self._require_good(self._call(self._group, "GetState")[0], name.name)
                return False
            self.withdraw()
            self._announce(wanted)
        except PublicationError:
            self.withdraw()
            raise
        return True

    def withdraw(self) -> None:
        """End the announcement; avahi sends a goodbye. Never raises."""
        connection, self._connection, self._group, self._announced = self._connection, None, None, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _announce(self, wanted: tuple[str, tuple[tuple[int, str], ...]]) -> None:
        name, placed = wanted
        try:
            self._connection = open_dbus_connection(bus="SYSTEM", auth_timeout=ANSWER_S)
        except Exception as error:
            # The library raises what the system, the authentication or a damaged address of the bus brings.
            what = f"the system's D-Bus is not reached: {error!s:.200}"
            raise PublicationError(what, where=name, remedy=_INSTALL) from error
        (path,) = self._call(_SERVER, "EntryGroupNew")
        self._group = DBusAddress(path, SERVICE, f"{SERVICE}.EntryGroup")
        for index, address in placed:
            self._call(self._group, "AddAddress", "iiuss", (index, _ANY_PROTOCOL, _NO_REVERSE, name, address))
        self._call(self._group, "Commit")
        self._announced = wanted

    def _call(self, to: DBusAddress, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        assert self._connection is not None
        try:
            message = new_method_call(to, method, signature, body)
            reply = self._connection.send_and_get_reply(message, timeout=ANSWER_S)
        except Exception as error:
            # The library raises what the socket or a damaged message brings.
            what = f"avahi-daemon does not answer {method}: {type(error).__name__} {error!s:.200}"
            raise PublicationError(what, where=SERVICE, remedy=_INSTALL) from error
        if reply.header.message_type is MessageType.error:
            said = str(reply.body[0]) if reply.body else ""
            what = f"avahi-daemon refuses {method}: {said:.200}"
            raise PublicationError(what, where=SERVICE, remedy=_INSTALL)
        return reply.body

    def _require_good(self, state: object, name: str) -> None:
        if state == _COLLISION:
            remedy = f"find it: avahi-resolve -n {name}; then rename it, or the pair"
            raise PublicationError("another machine has this name already", where=name, remedy=remedy)
        if state == _FAILURE:
            raise PublicationError("avahi-daemon could not announce the name", where=name, remedy=_INSTALL)


def _links_of(addresses: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """The index of the link of each address that is on this controller; of a virtual MAC's link, the one below."""
    links = Links()
    try:
        seen = links.snapshot()
    finally:
        links.close()
    if isinstance(seen, Blind):
        raise PublicationError(seen.why)
    found = {}
    for one in seen.addresses:
        link = seen.links[one.index]
        found[one.address] = link.parent if link.kind == "macvlan" and link.parent else link.index
    return tuple((found[address], address) for address in addresses if address in found)
