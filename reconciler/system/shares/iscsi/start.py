"""The start of all targets: what is there already stays, what differs is changed, and a target opens last of all.

A target with a volume that cannot be served is not opened: an open target without one of its disks answers "logical
unit not supported", which Linux passes to programs as an I/O error at once, while a closed one lets initiators wait. If
the target is open already, it stays as it is. Other targets do not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.shares.ports import Serving
from reconciler.core.shares.shares import IscsiServer, IscsiTarget, Shares
from reconciler.errors import StateError
from reconciler.system.shares.iscsi import volume_memory as memory
from reconciler.system.shares.iscsi.backstores import (
    kept_reservations,
    make_adapter,
    make_backstore,
    own_backstores,
    remove_backstore,
    reservation_files,
    serves,
)
from reconciler.system.shares.iscsi.configfs import TargetTree, TargetTreeError, TreeOverdue
from reconciler.system.shares.iscsi.group_settings import ENABLE, ChangeGroup, GroupSettings, changes, place_of
from reconciler.system.shares.iscsi.identities import serial_of
from reconciler.system.shares.iscsi.portal_groups import (
    SettingsError,
    foreign,
    own_groups,
    perform_all,
    read_group,
    read_units,
    settings_of,
)
from reconciler.system.shares.iscsi.report import ServingReport
from reconciler.system.shares.iscsi.state_directory import StateDirectoryError, prepare
from reconciler.system.shares.iscsi.stop import release, remove_group
from reconciler.system.shares.iscsi.volumes import Volume, VolumeDevices, VolumeFault, read_volumes

DURABLE = "a power cut loses writes that initiators know as written"


Phases = tuple[tuple[ChangeGroup, ...], ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    target: IscsiTarget
    volumes: tuple[Volume, ...]


class TargetStart:
    """One start. `end_s`: on the monotonic clock; `secrets`: files of CHAP secrets by name."""

    def __init__(
        self, tree: TargetTree, secrets: Mapping[str, Path], mount_point: Path, report: ServingReport, end_s: float
    ) -> None:
        self._tree, self._secrets, self._mount_point = tree, secrets, mount_point
        self._report, self._end_s = report, end_s
        self._directory: Path | None = None
        self._files: dict[str, Path] = {}
        #: Serial number of each volume, for looks that follow.
        self.serials: dict[str, str] = {}

    def run(self, shares: Shares) -> Serving:
        """Serve exactly these targets. Raises TargetTreeError for a fault of the whole server."""
        with self._report.step("modules"):
            self._tree.load()
        with self._report.step("removals"):
            self._remove_others({target.iqn for target in shares.targets})
        if shares.iscsi is None or not shares.targets:
            release(self._tree, self._report)
            return Serving.DOWN
        with self._report.step("state"):
            self._prepare(shares.state)
        with VolumeDevices() as devices:
            with self._report.step("volumes"):
                wanted = self._wanted(shares, devices)
            with self._report.step("backstores"):
                wanted = self._backstores(wanted, devices)
        self._groups(wanted, shares.iscsi)
        with self._report.step("memory"):
            self._remember(shares, wanted)
        self._remove_unused()
        return Serving.UP if self._report.served else Serving.DOWN

    def _remove_others(self, iqns: set[str]) -> None:
        for iqn, share in own_groups(self._tree).items():
            if iqn not in iqns:
                try:
                    remove_group(self._tree, iqn)
                except TargetTreeError as error:
                    text = f"the target {iqn} is not configured and stays: {error.what}"
                    self._report.fault(share, text, error.remedy)

    def _prepare(self, dataset: str | None) -> None:
        try:
            self._directory = prepare(self._tree, dataset, self._mount_point)
        except StateDirectoryError as error:
            self._report.fault("", error.what, error.remedy, served=True)

    def _wanted(self, shares: Shares, devices: VolumeDevices) -> list[_Wanted]:
        """Return the targets whose volumes can all be served; a fault of each other one."""
        datasets = {lun.dataset for target in shares.targets for lun in target.luns}
        # Opened first: what ZFS reads for it serves `zfs get` as well, which otherwise takes twice as long.
        devices.find(datasets, 0.0)
        volumes = read_volumes(datasets, max(0.0, self._end_s - time.monotonic()))
        self.serials = {one.dataset: serial_of(one.guid) for one in volumes.values() if isinstance(one, Volume)}
        before = memory.read_memory(self._directory) if self._directory is not None else {}
        found, iqns = [], set[str]()
        for target in shares.targets:
            if target.iqn in iqns:
                self._report.fault(target.name, f"another share has the name {target.iqn}, too")
                continue
            iqns.add(target.iqn)
            if self._serveable(target, volumes, before):
                mine = (volumes[lun.dataset] for lun in target.luns)
                found.append(_Wanted(target, tuple(one for one in mine if isinstance(one, Volume))))
        return found

    def _serveable(
        self,
        target: IscsiTarget,
        volumes: Mapping[str, Volume | VolumeFault],
        before: Mapping[memory.Unit, memory.RememberedVolume],
    ) -> bool:
        faults: list[tuple[str, str]] = []
        for lun in target.luns:
            volume = volumes[lun.dataset]
            if isinstance(volume, VolumeFault):
                faults.append((f"LUN {lun.number}: {volume.text}", volume.remedy))
                continue
            if fault := memory.fault_of_change(before.get((target.iqn, lun.number)), volume):
                faults.append((f"LUN {lun.number}: {fault}", memory.AGAIN))
            if not volume.durable:
                text = f"LUN {lun.number}: sync of {volume.dataset} is not always: {DURABLE}"
                self._report.fault(target.name, text, f"run: zfs set sync=always {volume.dataset}", served=True)
        if not target.luns:
            faults.append(("it has no logical unit", "add one to its resource"))
        self._faults(target, faults)
        return not faults

    def _faults(self, target: IscsiTarget, faults: Sequence[tuple[str, str]]) -> None:
        if not faults:
            return
        is_open = self._open(target)
        for text, remedy in faults:
            self._report.fault(target.name, text, remedy, served=is_open)
        if is_open:
            self._report.served.append(target.name)

    def _open(self, target: IscsiTarget) -> bool:
        """Whether initiators can use a target as an earlier start left it."""
        try:
            return target.iqn in own_groups(self._tree) and self._tree.read(f"{place_of(target.iqn)}/{ENABLE}") == "1"
        except TargetTreeError:
            return False

    def _backstores(self, wanted: Sequence[_Wanted], devices: VolumeDevices) -> list[_Wanted]:
        """Make the backstores that are missing. Returns the targets that have all of theirs."""
        datasets = {volume.dataset for one in wanted for volume in one.volumes}
        found = devices.find(datasets, self._end_s)
        if datasets:
            make_adapter(self._tree)
        own, self._files = set(own_backstores(self._tree)), reservation_files(self._directory)
        faults: dict[str, tuple[str, str]] = {}
        for dataset in sorted(datasets):
            try:
                if dataset in found:
                    self._backstore(dataset, found[dataset], own)
                else:
                    faults[dataset] = f"no block device of {dataset} appears", f"look at: zfs get volmode {dataset}"
            except TreeOverdue:
                raise
            except TargetTreeError as error:
                faults[dataset] = error.what, error.remedy
            except OSError as error:
                faults[dataset] = f"{found[dataset]}: {error.strerror}", ""
            devices.release(dataset)
        whole = []
        for one in wanted:
            bad = [(lun.number, faults[lun.dataset]) for lun in one.target.luns if lun.dataset in faults]
            self._faults(one.target, [(f"LUN {number}: {text}", remedy) for number, (text, remedy) in bad])
            if not bad:
                whole.append(one)
        return whole

    def _backstore(self, dataset: str, device: str, own: set[str]) -> None:
        serial = self.serials[dataset]
        if serial in own:
            if serves(self._tree, serial, device):
                return
            # Left half-made by a start that was cut short, or opened before the pool was exported by force.
            release(self._tree, self._report, [serial])
        kept = kept_reservations(self._files.get(serial))
        if fault := make_backstore(self._tree, serial, device, kept):
            text = f"reservations of initiators on {dataset} are not restored: {fault}"
            self._report.fault("", text, "initiators have to register again", served=True)

    def _groups(self, wanted: Sequence[_Wanted], server: IscsiServer) -> None:
        """Bring the portal groups into their state, all of them phase by phase, and open them."""
        settings: dict[str, GroupSettings] = {}
        for one in wanted:
            try:
                if foreign(self._tree, one.target.iqn):
                    remedy = f"remove it, or choose another name: ls {self._tree.place}/iscsi/{one.target.iqn}"
                    self._report.fault(one.target.name, f"another program made the target {one.target.iqn}", remedy)
                    continue
                settings[one.target.name], faults = settings_of(one.target, server, self.serials, self._secrets)
            except (SettingsError, TargetTreeError) as error:
                self._faults(one.target, [(error.what, error.remedy)])
                continue
            for fault in faults:
                self._report.fault(one.target.name, f"{fault.iqn}: {fault.text}", fault.remedy, served=True)
        with self._report.step("targets"):
            phases = {name: changes(one, read_group(self._tree, one)) for name, one in settings.items()}
            self._perform(settings, phases, range(5))
        with self._report.step("portals"):
            self._perform(settings, phases, (5,))
        with self._report.step("enable"):
            self._perform(settings, phases, (6,))
        self._report.served += settings
        # After the targets are open: the kernel may take long to remove a portal that initiators use.
        with self._report.step("old portals"):
            self._perform(dict(settings), phases, (7,))

    def _perform(
        self,
        settings: dict[str, GroupSettings],
        phases: Mapping[str, tuple[tuple[ChangeGroup, ...], ...]],
        which: Sequence[int],
    ) -> None:
        """Carry out these phases. A target that fails is taken from `settings`, with its problem told."""
        for phase in which:
            groups = [(name, group) for name in settings for group in phases[name][phase]]
            for name, error in perform_all(self._tree, groups).items():
                if isinstance(error, TreeOverdue):
                    raise error
                iqn = settings.pop(name).iqn
                is_open = self._tree.read(f"{place_of(iqn)}/{ENABLE}") == "1"
                self._report.fault(name, error.what, error.remedy, served=is_open)
                if is_open and name not in self._report.served:
                    self._report.served.append(name)

    def _remember(self, shares: Shares, wanted: Sequence[_Wanted]) -> None:
        """Write down the volumes of targets that are served; rows of others that are configured stay."""
        if self._directory is None:
            return
        before = memory.read_memory(self._directory)
        units: dict[memory.Unit, memory.RememberedVolume] = {}
        for target in shares.targets:
            for lun in target.luns:
                if (found := before.get((target.iqn, lun.number))) is not None:
                    units[target.iqn, lun.number] = found
        for one in wanted:
            if one.target.name in self._report.served:
                for lun, volume in zip(one.target.luns, one.volumes, strict=True):
                    units[one.target.iqn, lun.number] = memory.RememberedVolume(volume.guid, volume.size)
        try:
            memory.write_memory(self._directory, units)
        except StateError as error:
            self._report.fault("", f"{error.where}: {error.what}", error.remedy, served=True)

    def _remove_unused(self) -> None:
        """Close volumes that no target uses any more, so that ZFS can destroy them."""
        unused = set(own_backstores(self._tree)) - set(self.serials.values())
        if unused:
            for iqn in own_groups(self._tree):
                for links in read_units(self._tree, place_of(iqn)).values():
                    unused -= {to.rpartition("-")[2] for to in links.values()}
        for serial in sorted(unused):
            try:
                remove_backstore(self._tree, serial)
            except TargetTreeError as error:
                self._report.fault("", f"a volume that no share uses stays open: {error.what}", served=True)
