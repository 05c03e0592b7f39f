"""Lines of exports for rpc.mountd: each export of the shares becomes its lines, or the reason why it is not served.

Each export stands for itself: a dataset that is not mounted, a path that leads out of it, a host name without an
address are problems of one export. Reads the directories; writes and starts
nothing: `share_server` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.shares.ports import ShareProblem
from reconciler.core.shares.shares import NfsExport, Protocol, Shares
from reconciler.printing import cut, printable
from reconciler.system.shares.nfs.directory_check import directory_fault
from reconciler.system.shares.nfs.etab import UnfitExport, export_lines, is_host_name
from reconciler.system.shares.nfs.mounted_datasets import MountedDataset

TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class ResolvedExports:
    """`lines`: those of each export that can be served, by name. `paths`: its directory, by name."""

    lines: dict[str, tuple[str, ...]]
    paths: dict[str, str]
    problems: tuple[ShareProblem, ...]

    def table(self) -> str:
        """Return the text of mountd's table."""
        return "".join(f"{line}\n" for _, lines in sorted(self.lines.items()) for line in lines)


def share_problem(
    name: str, text: str, remedy: str = "", *, served: bool = False, changed: bool = False
) -> ShareProblem:
    """Return a problem of an export, or with the name "" of the server; texts are cleaned and cut."""
    return ShareProblem(
        Protocol.NFS, name, cut(printable(text), TEXT_MAX), cut(printable(remedy), TEXT_MAX), served, changed
    )


def host_names(shares: Shares) -> set[str]:
    """Return the host names in all exports."""
    return {clients.hosts for export in shares.exports for clients in export.clients if is_host_name(clients.hosts)}


def resolve_exports(
    shares: Shares,
    mounted: Mapping[str, MountedDataset],
    guids: Mapping[str, str],
    resolved: Mapping[str, tuple[str, ...]],
) -> ResolvedExports:
    """Return what can be served. `guids`: of the datasets. `resolved`: the addresses of host names."""
    lines: dict[str, tuple[str, ...]] = {}
    paths: dict[str, str] = {}
    problems: list[ShareProblem] = []
    for export in shares.exports:
        place = mounted.get(export.dataset)
        fault, remedy = _fault(export, place, guids)
        made: list[str] = []
        if not fault and place is not None:
            paths[export.name] = str(Path(place.place, export.path)) if export.path else place.place
            try:
                made = export_lines(export, paths[export.name], guids[export.dataset], resolved)
            except UnfitExport as error:
                fault, remedy = f"it cannot be exported: {error}", "change the export"
        if fault:
            problems.append(share_problem(export.name, fault, remedy))
            continue
        unknown = sorted({one.hosts for one in export.clients if is_host_name(one.hosts)} - set(resolved))
        if unknown:
            text = f"no address is known for {', '.join(unknown)}: these clients cannot use it"
            remedy = "check the name server and /etc/hosts, or give the clients by their addresses"
            problems.append(share_problem(export.name, text, remedy, served=bool(made)))
        if made:
            lines[export.name] = tuple(made)
    return ResolvedExports(lines, paths, tuple(problems))


def _fault(export: NfsExport, place: MountedDataset | None, guids: Mapping[str, str]) -> tuple[str, str]:
    """Return why an export cannot be served, and what to do; two empty texts if it can be."""
    if place is None:
        return f"its dataset {export.dataset} is not mounted", f"run `zfs mount {export.dataset}`"
    if export.dataset not in guids:
        return f"the GUID of its dataset {export.dataset} is not known", f"run `zfs get guid {export.dataset}`"
    if export.path is not None and (export.path.startswith("/") or ".." in export.path.split("/")):
        return f"its path {export.path} does not stay in its dataset", "give a path relative to the dataset"
    if fault := directory_fault(place, export.path):
        where = place.place if export.path is None else f"{place.place}/{export.path}"
        return f"{where} cannot be exported: {fault}", f"look at {where}: it must be a directory of {export.dataset}"
    return "", ""
