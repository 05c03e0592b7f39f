"""Defects of the whole: resources that are missing, doubled or named wrongly, and halves that do not match."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.facts.settings import UnsignedPolicy
from reconciler.core.spec.configuration import CONTROLLERS
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.topology import SpecDraft


@defect("pair-missing")
def pair_missing(draft: SpecDraft) -> Iterator[Finding]:
    """There is no Pair."""
    if draft.pair is None and not draft.incomplete:
        yield None, (), "there is no Pair", "Add a resource of kind Pair with a: {hostname: …} and b: {hostname: …}."


@defect("one-only")
def one_only(draft: SpecDraft) -> Iterator[Finding]:
    """A second Pair, Source, Alerting or Failover."""
    seen: dict[str, str] = {}
    for resource in draft.resources:
        if KINDS[resource.kind].single and seen.setdefault(resource.kind, resource.name) != (resource.name):
            what = f"a second {resource.kind}; the first is `{seen[resource.kind]}`"
            remedy = "Merge the two. If this is a repository of many pairs: hagit validate --all, or --path FOLDER."
            yield resource, (), what, remedy if resource.kind == "Pair" else "A pair has one: merge the two."


@defect("search-without-dns")
def search_without_dns(draft: SpecDraft) -> Iterator[Finding]:
    """Search domains are written, and no name server: the resolver is left alone, and they have no effect."""
    if draft.pair is not None and draft.pair.spec.search and not draft.pair.spec.dns:
        what = "without `dns` the resolver is left alone, so the search domains have no effect"
        yield draft.pair, ("search",), what, "Add dns: with the name servers, or take `search` out."


@defect("name-twice")
def name_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two resources of one kind have the same name."""
    seen: dict[str, str] = {}
    for resource in draft.resources:
        place = resource.document.place(("metadata", "name"))
        here = f"{resource.document.file}:{place[0]}"
        first = seen.setdefault(resource.id, here)
        if first != here:
            what = f"a second {resource.kind} `{resource.name}`; the first is at {first}"
            yield resource, (), what, "Rename one, or merge the two."


@defect("controller-twice")
def controller_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Both controllers, or a controller and the pair, have one name or serial number."""
    if draft.pair is None:
        return
    spec = draft.pair.spec
    if spec.a and spec.b:
        if spec.a.hostname.lower() == spec.b.hostname.lower():
            yield draft.pair, ("b", "hostname"), f"both controllers are named `{spec.b.hostname}`", "Rename one."
        if spec.a.serial is not None and spec.a.serial == spec.b.serial:
            what = f"both controllers have the serial number `{spec.b.serial}`"
            yield draft.pair, ("b", "serial"), what, "Each controller has its own."
    hostnames = {half.hostname.lower() for half in (spec.a, spec.b) if half}
    if spec.virtual_hostname is not None and spec.virtual_hostname.lower() in hostnames:
        what = f"the virtual host name `{spec.virtual_hostname}` is a controller's own"
        yield draft.pair, ("virtualHostname",), what, "Give clients a third name, for whichever controller is active."


@defect("half-missing", warning=True)
def half_missing(draft: SpecDraft) -> Iterator[Finding]:
    """Something is described for one controller and not for the other."""
    if draft.pair is None:
        return
    pair = draft.pair.spec
    for controller in CONTROLLERS:
        if pair.half(controller) is None:
            what = f"controller {controller} is not described, so it cannot be configured"
            yield draft.pair, (), what, f"Add {controller}: {{hostname: …}} to the Pair."
            continue
        for interface in draft.interfaces.values():
            if not interface.spec.on(controller):
                what = f"`{interface.name}` is not described for controller {controller}, so it is not there"
                yield interface, (), what, f"Add {controller}: to it if that controller has it too."


@defect("signers-missing")
def signers_missing(draft: SpecDraft) -> Iterator[Finding]:
    """Unsigned commits are refused and no signer is trusted."""
    if draft.source and draft.source.spec.unsigned is UnsignedPolicy.REFUSE and not draft.source.spec.trusted_signers:
        remedy = "List whose signatures count in `trustedSigners`, or say `unsigned: warn`."
        yield draft.source, (), "unsigned commits are refused, and no signer is trusted", remedy


@defect("drift-unknown")
def drift_unknown(draft: SpecDraft) -> Iterator[Finding]:
    """The drift policy names a kind or resource that is not there."""
    if draft.alerting is None:
        return
    drift = draft.alerting.spec.drift
    for kind in drift.kinds:
        if kind not in KINDS:
            yield draft.alerting, ("drift", "kinds", kind), f"`{kind}` is no kind", suggestion(kind, KINDS)
    known = {resource.id for resource in draft.resources}
    for name in drift.resources:
        if name not in known and not draft.incomplete:
            what = f"there is no resource `{name}`"
            yield draft.alerting, ("drift", "resources", name), what, suggestion(name, known)
