"""A look at all targets: which are open, what another program has changed, and who is logged in.

Reads the kernel's tree and asks ZFS only for volumes that the last start has not seen. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.core.shares.ports import Serving
from reconciler.core.shares.shares import IscsiServer, IscsiTarget, Shares
from reconciler.system.shares.iscsi.backstores import own_backstores
from reconciler.system.shares.iscsi.configfs import TargetTree
from reconciler.system.shares.iscsi.group_settings import changes, place_of
from reconciler.system.shares.iscsi.identities import serial_of
from reconciler.system.shares.iscsi.portal_groups import SettingsError, own_groups, read_group, settings_of
from reconciler.system.shares.iscsi.report import ServingReport
from reconciler.system.shares.iscsi.sessions import sessions_of
from reconciler.system.shares.iscsi.volumes import Volume, VolumeFault, read_volumes

#: Deviations that a problem names.
NAMED_MAX: Final = 3
KEEP: Final = "write the change into the repository to keep it: the next start of the targets undoes it"


class TargetObservation:
    """One look. `serials`: serial numbers of volumes that the last start has seen, by dataset."""

    def __init__(
        self,
        tree: TargetTree,
        secrets: Mapping[str, Path],
        serials: Mapping[str, str],
        report: ServingReport,
        deadline_s: float,
    ) -> None:
        self._tree, self._secrets, self._report, self._deadline_s = tree, secrets, report, deadline_s
        self._serials = dict(serials)
        self._faults: dict[str, VolumeFault] = {}

    def run(self, shares: Shares) -> Serving:
        """Compare the kernel's targets with these. Raises TargetTreeError."""
        if not self._tree.ready():
            return Serving.DOWN
        own, backstores = own_groups(self._tree), own_backstores(self._tree)
        is_open = {iqn for iqn in own if self._tree.read(f"{place_of(iqn)}/enable") == "1"}
        if not is_open and not backstores:
            return Serving.DOWN
        self._ask(shares, set(backstores))
        server = shares.iscsi or IscsiServer()
        missing = False
        for target in shares.targets:
            if target.iqn in is_open:
                self._report.served.append(target.name)
                self._compare(target, server)
                self._report.clients += sessions_of(self._tree, place_of(target.iqn), target.name)
            else:
                missing |= not self._explained(target)
        extra = is_open - {target.iqn for target in shares.targets}
        for iqn in sorted(extra):
            self._report.fault(own[iqn], f"the target {iqn} is open and not configured", served=True)
            self._report.clients += sessions_of(self._tree, place_of(iqn), own[iqn])
        return Serving.PARTLY if missing or extra or not is_open else Serving.UP

    def _ask(self, shares: Shares, backstores: set[str]) -> None:
        """Learn the serial numbers that are not known. A volume cannot change while its backstore has it open."""
        datasets = {lun.dataset for target in shares.targets for lun in target.luns}
        unknown = {name for name in datasets if self._serials.get(name) not in backstores}
        for name, volume in read_volumes(unknown, self._deadline_s).items():
            if isinstance(volume, Volume):
                self._serials[name] = serial_of(volume.guid)
            else:
                self._faults[name] = volume

    def _compare(self, target: IscsiTarget, server: IscsiServer) -> None:
        for lun in target.luns:
            if (fault := self._faults.get(lun.dataset)) is not None:
                self._report.fault(target.name, f"LUN {lun.number}: {fault.text}", fault.remedy, served=True)
        if any(lun.dataset in self._faults for lun in target.luns):
            return
        try:
            settings, secrets = settings_of(target, server, self._serials, self._secrets)
        except SettingsError as error:
            self._report.fault(target.name, error.what, error.remedy, served=True)
            return
        for secret in secrets:
            self._report.fault(target.name, f"{secret.iqn}: {secret.text}", secret.remedy, served=True)
        phases = changes(settings, read_group(self._tree, settings))
        found = [change.text for phase in phases for group in phase for change in group if change.text]
        if found:
            more = f"; {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
            shown = "; ".join(found[:NAMED_MAX]) + more
            self._report.fault(target.name, f"another program changed it: {shown}", KEEP, served=True, changed=True)

    def _explained(self, target: IscsiTarget) -> bool:
        """Whether a closed target has a reason, which is told: then the server serves all that can be served."""
        faults = [(lun.number, self._faults[lun.dataset]) for lun in target.luns if lun.dataset in self._faults]
        for number, fault in faults:
            self._report.fault(target.name, f"LUN {number}: {fault.text}", fault.remedy)
        if not faults:
            self._report.fault(target.name, "its portal group is closed")
        return bool(faults)
