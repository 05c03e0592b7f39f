"""Portal groups: the settings of a target's one, the state of each in the kernel, and its changes carried out.

Which targets are hagit's is written into the kernel (`identities.share_in`), so no file has to remember it. Reads
secrets and keeps none: they go from their files into the kernel. Does not know volumes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.shares.shares import Chap, Initiator, IscsiServer, IscsiTarget
from reconciler.errors import NodeFileError
from reconciler.system.secret import read_secret
from reconciler.system.shares.iscsi.configfs import TargetTree, TargetTreeError
from reconciler.system.shares.iscsi.group_settings import (
    ALIAS,
    ENABLE,
    UNSET,
    Attribute,
    ChangeGroup,
    GroupSettings,
    GroupState,
    InitiatorSettings,
    InitiatorState,
    TreeAction,
    TreeChange,
    place_of,
    removal,
)
from reconciler.system.shares.iscsi.identities import (
    LUN_MAX,
    alias_of,
    fault_of_name,
    fault_of_share,
    portal_of,
    share_in,
)

#: Initiators and Windows refuse shorter secrets (RFC 7143, 9.2.1: 96 bits); the kernel has 256 bytes with the end.
SECRET_BYTES_MIN: Final = 12
SECRET_BYTES_MAX: Final = 255
#: Groups of changes that run at the same time: unlinking waits for RCU, and so many waits take as long as one.
WIDTH: Final = 8


class SettingsError(Exception):
    """A target that cannot be set up as it is configured. `remedy` may be empty."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


@dataclass(frozen=True, slots=True)
class SecretFault:
    """Why an initiator cannot log in: its secret is missing or bad."""

    iqn: str
    text: str
    remedy: str


def settings_of(
    target: IscsiTarget, server: IscsiServer, serials: Mapping[str, str], secrets: Mapping[str, Path]
) -> tuple[GroupSettings, tuple[SecretFault, ...]]:
    """Return what the group of a target must look like. `serials`: serial number of each dataset.

    An initiator whose secret cannot be read is not admitted; the second value says why. Raises SettingsError.
    """
    if fault := fault_of_share(target.name) or fault_of_name(target.iqn):
        raise SettingsError(fault)
    numbers = [lun.number for lun in target.luns]
    if len(set(numbers)) != len(numbers) or not all(0 <= number <= LUN_MAX for number in numbers):
        raise SettingsError("its logical units have a number twice, or one that is too large")
    try:
        portals = tuple(dict.fromkeys(portal_of(address, server.port) for address in target.addresses))
    except ValueError as error:
        raise SettingsError(f"a portal: {error}") from error
    initiators, faults = [], []
    for initiator in target.initiators:
        if fault := fault_of_name(initiator.iqn):
            raise SettingsError(f"an initiator: {fault}")
        try:
            initiators.append(_initiator(initiator, server, secrets))
        except SettingsError as error:
            initiators.append(InitiatorSettings(initiator.iqn, (), known=False))
            faults.append(SecretFault(initiator.iqn, error.what, error.remedy))
    # The group alone decides about discovery, and whether an initiator may offer no method at all. Each initiator has
    # its own switch, so one without CHAP beside one with it weakens neither.
    everywhere = bool(target.initiators) and all(initiator.chap for initiator in target.initiators)
    attributes = (
        Attribute(ALIAS, alias_of(target.name)),
        Attribute("attrib/authentication", str(int(everywhere))),
        Attribute("attrib/generate_node_acls", "0"),
        Attribute("attrib/demo_mode_discovery", "0"),
        Attribute("attrib/login_timeout", str(server.login_s)),
        # An initiator waits this long before it comes back, or as long as it asks for, if that is longer (RFC 7143,
        # 13.15); open-iscsi asks for 2 s.
        Attribute("param/DefaultTime2Wait", "0"),
        Attribute("param/DefaultTime2Retain", "0"),
    )
    luns = tuple((lun.number, serials[lun.dataset]) for lun in target.luns)
    return GroupSettings(target.name, target.iqn, attributes, luns, tuple(initiators), portals), tuple(faults)


def _initiator(initiator: Initiator, server: IscsiServer, secrets: Mapping[str, Path]) -> InitiatorSettings:
    if initiator.mutual is not None and initiator.chap is None:
        raise SettingsError("the target cannot prove itself to an initiator that does not prove itself")
    user, password = _credentials(initiator.chap, secrets)
    mutual_user, mutual_password = _credentials(initiator.mutual, secrets)
    if initiator.mutual is not None and password == mutual_password:
        raise SettingsError("both secrets are the same, which initiators refuse", "make a second secret")
    attributes = (
        Attribute("attrib/authentication", str(int(initiator.chap is not None))),
        # A session whose initiator is silent ends after both, so that it does not hold the initiator's name.
        Attribute("attrib/nopin_timeout", str(server.nop_s)),
        Attribute("attrib/nopin_response_timeout", str(server.nop_s)),
        Attribute("auth/userid", user),
        Attribute("auth/password", password, secret=True),
        Attribute("auth/userid_mutual", mutual_user),
        Attribute("auth/password_mutual", mutual_password, secret=True),
    )
    return InitiatorSettings(initiator.iqn, attributes)


def _credentials(chap: Chap | None, secrets: Mapping[str, Path]) -> tuple[str, str]:
    if chap is None:
        return UNSET, UNSET
    if chap.secret not in secrets:
        row = f'add to [chap] of the node file: {chap.secret} = "FILE"'
        raise SettingsError(f"the node file names no file for the secret {chap.secret!r}", row)
    try:
        secret = read_secret(secrets[chap.secret], bytes_min=SECRET_BYTES_MIN).decode("ascii")
    except NodeFileError as error:
        raise SettingsError(f"secret {chap.secret!r}: {error.what}", error.remedy) from error
    except UnicodeDecodeError:
        secret = ""
    for word, value in (("user", chap.user), ("secret", secret)):
        # The kernel takes everything that begins with NULL for none, and would then ask for no secret.
        plain = value.isascii() and value.isprintable() and " " not in value and not value.startswith(UNSET)
        if not plain or not 0 < len(value) <= SECRET_BYTES_MAX:
            why = f"the {word} of {chap.secret!r} has other characters than CHAP has, is too long or begins with NULL"
            raise SettingsError(why, "use at most 255 letters and digits")
    return chap.user, secret


def read_group(tree: TargetTree, settings: GroupSettings) -> GroupState:
    """Return the state of a group, with the attributes that the settings name. Raises TargetTreeError."""
    place = settings.place
    if not tree.objects(place):
        return GroupState(exists=False)
    paths = {initiator.iqn: initiator.attributes for initiator in settings.initiators}
    initiators = {
        iqn: InitiatorState(
            {one.path: tree.read(f"{place}/acls/{iqn}/{one.path}") for one in paths.get(iqn, ())},
            {name: tree.links(f"{place}/acls/{iqn}/{name}") for name in tree.objects(f"{place}/acls/{iqn}", "lun_")},
        )
        for iqn in tree.objects(f"{place}/acls")
    }
    return GroupState(
        exists=True,
        enabled=tree.read(f"{place}/{ENABLE}") == "1",
        attributes={one.path: tree.read(f"{place}/{one.path}") for one in settings.attributes},
        luns=read_units(tree, place),
        initiators=initiators,
        portals=tree.objects(f"{place}/np"),
    )


def read_units(tree: TargetTree, place: str) -> dict[str, dict[str, str]]:
    """Return the links in each logical unit of a group. Raises TargetTreeError."""
    return {name: tree.links(f"{place}/lun/{name}") for name in tree.objects(f"{place}/lun", "lun_")}


def own_groups(tree: TargetTree) -> dict[str, str]:
    """Return the targets that hagit made: their names and shares. Raises TargetTreeError."""
    found = {}
    for iqn in tree.objects("iscsi"):
        if (share := share_in(tree.read(f"{place_of(iqn)}/{ALIAS}"))) is not None:
            found[iqn] = share
    return found


def foreign(tree: TargetTree, iqn: str) -> bool:
    """Whether another program made this target. An empty one is what a start that was cut short leaves behind."""
    groups = tree.objects(f"iscsi/{iqn}", "tpgt_")
    if not groups:
        return False
    place = place_of(iqn)
    if groups != ("tpgt_1",):
        return True
    if share_in(tree.read(f"{place}/{ALIAS}")) is not None:
        return False
    return any(tree.objects(f"{place}/{part}") for part in ("lun", "acls", "np"))


def perform(tree: TargetTree, change: TreeChange) -> None:
    """Carry out one change. Raises TargetTreeError."""
    match change.action:
        case TreeAction.MAKE:
            tree.make(change.path)
        case TreeAction.WRITE:
            tree.write(change.path, change.value, secret=change.secret)
        case TreeAction.LINK:
            tree.link(change.path, change.value)
        case TreeAction.UNLINK:
            tree.unlink(change.path)
        case TreeAction.REMOVE:
            tree.remove(change.path)


def perform_all(tree: TargetTree, groups: Sequence[tuple[str, ChangeGroup]]) -> dict[str, TargetTreeError]:
    """Carry out groups of changes, WIDTH at a time. Returns the first failure of each owner, which ends its groups."""
    failed: dict[str, TargetTreeError] = {}
    waiting, lock = list(groups)[::-1], threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                owner, group = waiting.pop()
            try:
                for change in group if owner not in failed else ():
                    perform(tree, change)
            except TargetTreeError as error:
                failed.setdefault(owner, error)

    # Daemons: the process may end while one waits in the kernel.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(WIDTH, len(groups)) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    return failed


def removal_of(tree: TargetTree, place: str, *, backstores: Iterable[str] = ()) -> Iterator[ChangeGroup]:
    """Yield groups of changes that unlink the logical units of a group, for all backstores or for these.

    An initiator's view of a unit goes before the unit. Raises TargetTreeError.
    """
    chosen = set(backstores)
    views: dict[str, list[TreeChange]] = {}
    for iqn in tree.objects(f"{place}/acls"):
        for name in tree.objects(f"{place}/acls/{iqn}", "lun_"):
            view = f"{place}/acls/{iqn}/{name}"
            for link, to in (links := tree.links(view)).items():
                views.setdefault(to, []).extend(removal(view, {link: to}))
            if not links:
                views.setdefault("", []).append(TreeChange(TreeAction.REMOVE, view))
    for name, links in read_units(tree, place).items():
        unit = f"{place}/lun/{name}"
        if not chosen or chosen & set(links.values()):
            yield (*views.get(unit, ()), *removal(unit, links))
    if not chosen and "" in views:
        yield tuple(views[""])
