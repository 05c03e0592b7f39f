"""A configuration to the facts that one controller should have, each with the line that asks for it.

Each kind says which facts its resources ask for (`ResourceKind.facts`); this module collects them. Virtual addresses
are no facts here: the watchdog places them. Does not know which NIC a match finds.
"""

from __future__ import annotations

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import Desired, NicMatch, Origin, facts_by_key
from reconciler.core.spec.configuration import Configuration
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.policies import drift_policy
from reconciler.core.spec.topology import side
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
