"""A configuration to what each controller should be: its facts, each with the line that asks for it, and its settings.

Each kind says which facts its resources ask for (`ResourceKind.facts`); this module collects them. Virtual addresses
are no facts here: the watchdog places them. Settings are what the agent itself works with, defaults filled in: whom it
follows, trusts and alerts. Does not know which NIC a match finds.
"""

from __future__ import annotations

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.settings import (
    AlertPolicy,
    AlonePolicy,
    ChangePolicy,
    InterfaceEdits,
    PairNames,
    Receiver,
    Settings,
    SourcePolicy,
)
from reconciler.core.facts.state import Desired, DriftPolicy, NicMatch, Origin, facts_by_key
from reconciler.core.spec.alerting import AlertingSpec
from reconciler.core.spec.configuration import Configuration, Resource
from reconciler.core.spec.interface import Role
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.topology import side
from reconciler.core.spec.virtual_name import virtual_name_of
from reconciler.errors import ConfigurationError


def compile_desired(configuration: Configuration, controller: str) -> Desired:
    """What controller "a" or "b" should be. Raises ConfigurationError when the Pair does not describe it."""
    pair = configuration.pair
    if controller not in configuration.controllers:
        what = f"controller {controller} is not described"
        remedy = f"Add {controller}: {{hostname: …}} to the Pair."
        raise ConfigurationError([pair.complaint((), what, remedy, "half-missing")])
    here = side(controller, pair, configuration.interfaces.values(), configuration.routes.values())
    facts: list[Fact] = []
    origins: dict[Key, Origin] = {}
    matches: dict[str, NicMatch] = {}
    match_origins: dict[str, Origin] = {}
    for kind in KINDS.values():
        for fact, resource, path in kind.facts(configuration, here) if kind.facts is not None else ():
            facts.append(fact)
            origins[fact.key] = resource.origin(*path)
    destroy: dict[Key, bool] = {}
    for kind in KINDS.values():
        for key, protected, resource in kind.destroys(configuration) if kind.destroys is not None else ():
            destroy[key] = protected
            origins[key] = resource.origin("destroy")
    for face in here.faces.values():
        half = face.spec.half(controller)
        if half is not None and half.match is not None:
            matches[face.name] = NicMatch(half.match.mac, half.match.path, half.match.name)
            match_origins[face.name] = face.resource.origin(controller, "match")
    return Desired(
        controller=controller,
        facts=facts_by_key(facts),
        matches=matches,
        match_origins=match_origins,
        origins=origins,
        virtual=frozenset(str(address) for face in here.faces.values() for _, address in face.virtual),
        drift=drift_policy(configuration.alerting),
        destroy=destroy,
        alone=len(configuration.controllers) == 1,
    )


def settings(configuration: Configuration) -> Settings:
    """The settings of a configuration."""
    spec = configuration.pair.spec
    halves = {name: half for name in configuration.controllers if (half := spec.half(name)) is not None}
    pair = PairNames(
        configuration.pair.name,
        {name: half.hostname for name, half in halves.items()},
        {name: half.serial for name, half in halves.items() if half.serial is not None},
        spec.virtual_hostname,
        spec.domain,
    )
    alerting, names = _alerting(configuration.alerting), virtual_name_of(configuration)
    failover = configuration.failover
    edits = failover.spec.interface_edits if failover is not None else InterfaceEdits.ROLLING
    changes = ChangePolicy(spec.changes.confirm, spec.changes.timeout, edits)
    return Settings(pair, _source(configuration), alerting, _addresses(configuration), names, changes)


def drift_policy(alerting: Resource[AlertingSpec] | None) -> DriftPolicy:
    """The drift policy of an Alerting, or the default one."""
    if alerting is None:
        return DriftPolicy()
    drift = alerting.spec.drift
    return DriftPolicy(drift.default, dict(drift.kinds), dict(drift.resources))


def _addresses(configuration: Configuration) -> dict[str, tuple[tuple[str, str], ...]]:
    """The static addresses of each controller, those of interlinks first. A link-local one means nothing elsewhere."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for name in configuration.controllers:
        here = side(name, configuration.pair, configuration.interfaces.values(), ())
        faces = sorted(here.faces.values(), key=lambda face: face.spec.role is not Role.INTERLINK)
        # 169.254.0.0/16 is link-local too, and an interlink often has such addresses.
        placed = ((face.name, address.ip) for face in faces for _, address in face.addresses)
        found[name] = tuple((face, str(ip)) for face, ip in placed if ip.version == 4 or not ip.is_link_local)
    return found


def _source(configuration: Configuration) -> SourcePolicy | None:
    if configuration.source is None:
        return None
    spec = configuration.source.spec
    return SourcePolicy(
        remotes=tuple(spec.remotes),
        branch=spec.branch,
        interval_s=spec.interval,
        trusted_signers=tuple(spec.trusted_signers),
        unsigned=spec.unsigned,
        apply=spec.apply,
        push_keys=tuple(spec.push.keys) if spec.push is not None else (),
        push_alone=spec.push.alone if spec.push is not None else AlonePolicy.REFUSE,
    )


def _alerting(alerting: Resource[AlertingSpec] | None) -> AlertPolicy:
    if alerting is None:
        return AlertPolicy()
    spec = alerting.spec
    return AlertPolicy(
        alertmanager=tuple(spec.alertmanager),
        webhooks=tuple(Receiver(hook.url or "", hook.secret_file, hook.url_file or "") for hook in spec.webhooks),
        notify=tuple(notify.url_file for notify in spec.notify),
    )
