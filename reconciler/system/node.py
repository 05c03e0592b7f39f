"""The node-local file: which controller this is, where its state lives, whom it trusts, where to look first.

TOML, outside the repository, because nothing in a repository may decide who is trusted. One file for each controller,
so that several can run on one machine. See `hagit explain node`.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.core.facts.folder import FOLDER
from reconciler.core.facts.scope import EVERYTHING, Scope, Scopes
from reconciler.core.facts.virtual_name import KEY_NAME
from reconciler.core.power.options import LOCAL
from reconciler.core.power.plan import OPTION
from reconciler.core.shares.shares import SECRET_NAME
from reconciler.errors import NodeFileError
from reconciler.system.files import open_regular
from reconciler.system.node_checks import (
    FINGERPRINT,
    KEY_NUMBER,
    default_group,
    host_names,
    ip_addresses,
    one_of,
    shelf_url,
)
from reconciler.system.node_listen import AlertSecrets, Listen
from reconciler.system.node_push import PushNode, push_node
from reconciler.system.node_tables import NodeTables
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend

DEFAULT_PATH: Final = Path("/etc/hagit/node.toml")
ENVIRONMENT: Final = "HAGIT_NODE"
FILE_BYTES_MAX: Final = 256 << 10
#: TCP port of the agents, for each other.
PEER_PORT: Final = 9724
#: The hardware watchdog of a machine that has one (Linux, Documentation/watchdog).
DEADMAN: Final = Path("/dev/watchdog")
#: Like `accept`, for an operator who knows that everyone who can push is root here; `accept` alone keeps a warning.
WITHOUT_WARNING: Final = "accept-without-warning"
PAIR_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
COMMIT: Final = re.compile(r"[0-9a-f]{12,40}")
ALL_SCOPES: Final = "all"
CHAP_NAME: Final = re.compile(SECRET_NAME)
TSIG_NAME: Final = re.compile(KEY_NAME)
UNSIGNED: Final = ("refuse", "warn", "accept", WITHOUT_WARNING)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom this controller believes: files of SSH signers, revoked keys and OpenPGP keys.

    `unsigned` is the least strict policy it accepts, whatever the repository says. `without_warning`: a person wrote
    that unsigned commits are wanted. `pair`: the tip must say that it is meant for this pair and branch. `floor`: a
    commit that the first history adopted here must contain. `scopes`: what each signer may change; None: everything.
    """

    allowed_signers: Path | None = None
    revoked_keys: Path | None = None
    keyring: Path | None = None
    unsigned: str = "accept"
    without_warning: bool = False
    pair: str = ""
    floor: str = ""
    scopes: Scopes | None = None


@dataclass(frozen=True, slots=True)
class FirstSource:
    """Where the first revision comes from; a Source resource in the repository takes over from then on.

    `path`: the folder of this pair in a repository of many; empty: the pair has the whole repository.
    `hosts`: where `key` and `token` may be used, `host` or `host:port`; empty: at the hosts of `remotes`.
    """

    remotes: tuple[str, ...] = ()
    branch: str = "main"
    path: str = ""
    known_hosts: Path | None = None
    key: Path | None = None
    certificate_authorities: Path | None = None
    token: Path | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchdogNode:
    """What the watchdog needs to know of this machine. A node without it has none, and nothing fails over.

    `secret` names a file, the same on both controllers; `carp_password` another, or none: then it follows from the
    secret. `deadman` is the device of the hardware watchdog, None to do without. `group` may use the control socket.
    `chap`: the CHAP secrets that targets name, by name, each with its file.
    """

    secret: Path
    shelf: str
    carp_password: Path | None = None
    run: Path = Path("/run/hagit")
    deadman: Path | None = None
    group: str = "root"
    chap: tuple[tuple[str, Path], ...] = ()


@dataclass(frozen=True, slots=True)
class PeerNode:
    """The channel to the agent of the other controller.

    `addresses`: where the peer may be found, `listen`: where it may find this controller, both besides the addresses of
    the revision in force. `port`: the same on both controllers.
    """

    addresses: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    port: int = PEER_PORT


@dataclass(frozen=True, slots=True)
class Node:
    """One controller as its own machine knows it. Paths are absolute.

    `power`: secrets for the fence agent of the peer: names of options, each with a file.
    `power_for`: which agent and options these are for: names and values, and the agent's name as `agent`.
    `fence_agents`: programs that a repository can name as fence agents, beside Debian's.
    `tsig`: the TSIG keys that a Pair names, by name, each with its file. `tsig_for`: IP addresses of the servers that
    each is for. `push`: hosts the repository of the pair.
    """

    path: Path
    controller: str
    state: Path = Path("/var/lib/hagit")
    source: FirstSource = field(default_factory=FirstSource)
    trust: Trust = field(default_factory=Trust)
    listen: Listen | None = field(default_factory=Listen)
    alerts: AlertSecrets = field(default_factory=AlertSecrets)
    watchdog: WatchdogNode | None = None
    power: tuple[tuple[str, Path], ...] = ()
    power_for: tuple[tuple[str, str], ...] = ()
    fence_agents: tuple[tuple[str, Path], ...] = ()
    tsig: tuple[tuple[str, Path], ...] = ()
    tsig_for: tuple[tuple[str, tuple[str, ...]], ...] = ()
    hostname_file: Path = Path("/etc/hostname")
    resolver_file: Path = Path("/etc/resolv.conf")
    serial_file: Path = Path("/sys/class/dmi/id/product_serial")
    peer: PeerNode = field(default_factory=PeerNode)
    push: PushNode | None = None


def find_node_file(named: Path | None) -> Path:
    """The node file: `--node`, else HAGIT_NODE, else /etc/hagit/node.toml."""
    return named or Path(os.environ.get(ENVIRONMENT) or DEFAULT_PATH)


def load_node(path: Path) -> Node:
    """Read and check a node file. Raises NodeFileError with every unknown key named."""
    remedy = f"make one with `hagit init`, or name another with --node or {ENVIRONMENT}"
    try:
        if why := exposed(path):
            raise NodeFileError(
                f"other users could change what this controller does: {why}", where=str(path), remedy=mend(why)
            )
        with open_regular(path) as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NodeFileError("there is no node file here", where=str(path), remedy=remedy) from None
    except OSError as error:
        raise NodeFileError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error
    if len(content) > FILE_BYTES_MAX:
        raise NodeFileError(f"larger than {FILE_BYTES_MAX} bytes", where=str(path), remedy=remedy)
    return node_of(path, content)


def node_of(path: Path, content: bytes) -> Node:
    """The node that the content of a node file describes, as if it were at `path`. Raises NodeFileError."""
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NodeFileError(f"not TOML: {error}", where=str(path), remedy="see `hagit explain node`") from error
    return _Reader(path, document).node()


class _Reader(NodeTables):
    """Makes a node of the tables of the file."""

    def node(self) -> Node:
        top = self._document
        controller = self._take(top, "controller", str, None, one_of(("a", "b")))
        if controller is None:
            raise self._error("controller", 'is missing; write controller = "a" or "b"')
        source, trust, files = self._table("source"), self._table("trust"), self._table("files")
        state = self._file(top, "state") or Path("/var/lib/hagit")
        node = Node(
            path=self._path,
            controller=controller,
            state=state,
            push=push_node(self._table("push"), self._path, state) if "push" in top else None,
            source=self._source(source),
            trust=self._trust(trust),
            listen=self._listen(),
            alerts=self._alerts(),
            watchdog=self._watchdog(),
            power_for=self._power_for(),
            tsig_for=self._tsig_for(),
            tsig=self._files("tsig", TSIG_NAME, "is no name of a TSIG key: letters, digits, _, - and dots"),
            power=self._files("power", OPTION, "is no name of an option of a fence agent, like `password`"),
            fence_agents=self._files("fence_agents", LOCAL, "is no name of such an agent, like `fence_local_ups`"),
            hostname_file=self._file(files, "hostname") or Path("/etc/hostname"),
            resolver_file=self._file(files, "resolver") or Path("/etc/resolv.conf"),
            serial_file=self._file(files, "serial") or Path("/sys/class/dmi/id/product_serial"),
            peer=self._peer(),
        )
        for prefix, table in (("", top), ("source.", source), ("trust.", trust), ("files.", files)):
            for key in table:
                raise self._error(f"{prefix}{key}", "is not known here; see `hagit explain node`")
        return node

    def _source(self, table: dict[str, Any]) -> FirstSource:
        remotes = self._take(table, "remotes", list, [], lambda value: all(isinstance(item, str) for item in value))
        return FirstSource(
            remotes=tuple(remotes or ()),
            branch=self._take(table, "branch", str, "main") or "main",
            path=self._take(table, "path", str, "", re.compile(FOLDER).fullmatch).removesuffix("/"),
            known_hosts=self._file(table, "known_hosts"),
            key=self._file(table, "key"),
            certificate_authorities=self._file(table, "certificate_authorities"),
            token=self._file(table, "token"),
            hosts=tuple(self._take(table, "hosts", list, [], host_names) or ()),
        )

    def _trust(self, table: dict[str, Any]) -> Trust:
        signers, keyring = self._file(table, "allowed_signers"), self._file(table, "keyring")
        default = "refuse" if signers or keyring else "accept"
        unsigned = self._take(table, "unsigned", str, default, one_of(UNSIGNED)) or default
        if unsigned == "refuse" and not (signers or keyring):
            raise self._error("trust.unsigned", "is `refuse`, but no allowed_signers and no keyring is named")
        wanted = unsigned == WITHOUT_WARNING
        pair = self._take(table, "pair", str, "", lambda value: bool(PAIR_NAME.fullmatch(value)))
        floor = self._take(table, "floor", str, "", lambda value: bool(COMMIT.fullmatch(value)))
        revoked = self._file(table, "revoked_keys")
        scopes = self._scopes(table, unsigned)
        lax = "accept" if wanted else unsigned
        return Trust(signers, revoked, keyring, lax, wanted, pair or "", floor or "", scopes)

    def _scopes(self, table: dict[str, Any], unsigned: str) -> Scopes | None:
        """The table [trust.scopes]: lists of scopes by signer."""
        if "scopes" not in table:
            return None
        if unsigned != "refuse":
            raise self._error("trust.scopes", f'needs unsigned = "refuse": with `{unsigned}` any pusher goes past them')
        listed = self._take(table, "scopes", dict, {})
        named: dict[str, frozenset[Scope]] = {}
        for name, scopes in listed.items():
            key, number = f"trust.scopes.{name}", KEY_NUMBER.fullmatch(name)
            signer = name.replace(" ", "").upper() if number else name
            if number and not FINGERPRINT.fullmatch(signer):
                raise self._error(key, "is no whole fingerprint; `gpg --fingerprint` shows its 40 digits")
            if not signer or signer in named:
                raise self._error(key, "is no signer, or one that is named twice")
            if not isinstance(scopes, list) or not {*map(str, scopes)} <= {*Scope, ALL_SCOPES}:
                raise self._error(key, f'must be a list of {", ".join(Scope)}, or ["{ALL_SCOPES}"]')
            named[signer] = EVERYTHING if ALL_SCOPES in scopes else frozenset(map(Scope, scopes))
        return Scopes(named, named.pop("default", EVERYTHING))

    def _listen(self) -> Listen | None:
        if self._document.get("listen") is False:
            del self._document["listen"]
            return None
        table = self._table("listen")
        listen = Listen(
            address=self._take(table, "address", str, "127.0.0.1") or "127.0.0.1",
            port=int(self._take(table, "port", int, 9723, lambda port: 0 <= port <= 65535) or 0),
            hook_secret=self._file(table, "hook_secret"),
            hosts=tuple(self._take(table, "hosts", list, [], host_names) or ()),
        )
        for key in table:
            raise self._error(f"listen.{key}", "is not known here; see `hagit explain node`")
        return listen

    def _alerts(self) -> AlertSecrets:
        table = self._table("alerts")
        alerts = AlertSecrets(
            secrets=self._file(table, "secrets") or self._path.absolute().parent,
            hosts=tuple(self._take(table, "hosts", list, [], host_names) or ()),
        )
        for key in table:
            raise self._error(f"alerts.{key}", "is not known here; see `hagit explain node`")
        return alerts

    def _peer(self) -> PeerNode:
        table = self._table("peer")
        peer = PeerNode(
            addresses=tuple(self._take(table, "addresses", list, [], ip_addresses) or ()),
            listen=tuple(self._take(table, "listen", list, [], ip_addresses) or ()),
            port=self._take(table, "port", int, PEER_PORT, lambda port: 0 < port <= 65535),
        )
        for key in table:
            raise self._error(f"peer.{key}", "is not known here; see `hagit explain node`")
        return peer

    def _watchdog(self) -> WatchdogNode | None:
        chap = self._files("chap", CHAP_NAME, "is no name of a secret: letters, digits, _ and -, at most 63")
        if "watchdog" not in self._document:
            return None
        table = self._table("watchdog")
        secret, shelf = self._file(table, "secret"), self._take(table, "shelf", str, None, shelf_url)
        if secret is None:
            raise self._error("watchdog.secret", "is missing; name a file that is the same on both controllers")
        if shelf is None:
            raise self._error("watchdog.shelf", 'is missing; write shelf = "disks:/dev/disk/by-id"')
        watchdog = WatchdogNode(
            secret=secret,
            shelf=shelf,
            carp_password=self._file(table, "carp_password"),
            run=self._file(table, "run") or Path("/run/hagit"),
            deadman=self._deadman(table),
            group=self._take(table, "group", str, None, bool) or default_group(),
            chap=chap,
        )
        for key in table:
            raise self._error(f"watchdog.{key}", "is not known here; see `hagit explain node`")
        return watchdog

    def _files(self, name: str, keys: re.Pattern[str], unfit: str) -> tuple[tuple[str, Path], ...]:
        """A table whose keys have one form and whose values are files."""
        table = self._table(name)
        for key in table:
            if not keys.fullmatch(key):
                raise self._error(f"{name}.{key}", unfit)
        files = [(key, self._file(table, key)) for key in sorted(table)]
        return tuple((key, path) for key, path in files if path is not None)

    def _power_for(self) -> tuple[tuple[str, str], ...]:
        """The table [power.for]: values as fence agents read them."""
        table = self._bindings("power")
        for key, value in table.items():
            if not OPTION.fullmatch(key) or not isinstance(value, str | int):
                raise self._error(f"power.for.{key}", "is no option of a fence agent with a text, a number or true")
        values = {key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in table.items()}
        return tuple(sorted(values.items()))

    def _tsig_for(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The table [tsig.for]: lists of addresses by key."""
        for key, servers in (table := self._bindings("tsig")).items():
            if not isinstance(servers, list) or not ip_addresses(servers):
                raise self._error(f"tsig.for.{key}", 'must be a list of IP addresses: ["10.0.0.2"]')
        return tuple((key, tuple(servers)) for key, servers in sorted(table.items()))

    def _bindings(self, name: str) -> dict[str, Any]:
        """The table [NAME.for]: what the secrets of [NAME] are for."""
        secrets = self._document.get(name)
        table = secrets.pop("for", {}) if isinstance(secrets, dict) else {}
        if not isinstance(table, dict):
            raise self._error(f"{name}.for", f"must be a table: write [{name}.for]")
        return table

    def _deadman(self, table: dict[str, Any]) -> Path | None:
        if table.get("deadman") is False:
            del table["deadman"]
            return None
        # Its driver may be loaded later than the daemon starts.
        return self._file(table, "deadman") or DEADMAN
