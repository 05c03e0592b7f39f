"""The content of a revision: its YAML, checked and compiled for this controller, with a cache.

The cache is keyed by commit, folder, controller and version of hagit. A command that finds an entry imports neither the
YAML parser nor the models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from reconciler import __version__
from reconciler.agent.store import Store
from reconciler.core.facts.codec import (
    facts_document,
    facts_from_document,
    origin_document,
    origin_from_document,
)
from reconciler.core.facts.fact import Key
from reconciler.core.facts.settings import Settings, settings_from_document
from reconciler.core.facts.state import Desired, DriftMode, DriftPolicy, NicMatch, Origin
from reconciler.errors import Complaint, ConfigurationError

if TYPE_CHECKING:
    from reconciler.core.failover.orders.orders import Orders
    from reconciler.core.power.plan import PowerPlan
    from reconciler.core.shares.shares import Shares


#: Fields that a cached form must have. An entry of an older hagit without them is ignored.
REQUIRED_FIELDS: Final = frozenset({"orders", "power", "alone", "shares", "share_origins"})

#: Number of complaints about one commit that are cached.
COMPLAINTS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Content:
    """The desired state of this controller, the settings of the agent, and the warnings of the linter.

    `orders`: those of the watchdog, with generation 0; None without a Failover. `position`: number of commits in the
    history up to this one, 0 for uncommitted files. `power`: how the power of the controllers is switched.
    `shares`: what clients may use; None if there is nothing. `share_origins`: see `core/spec/shares`.
    """

    desired: Desired
    settings: Settings
    warnings: tuple[Complaint, ...] = ()
    orders: Orders | None = None
    position: int = 0
    power: PowerPlan | None = None
    shares: Shares | None = None
    share_origins: Mapping[str, Origin] = field(default_factory=dict)

    def keys(self) -> Iterator[Key]:
        """The keys of all facts that should exist, or should not."""
        yield from self.desired.facts
        yield from self.desired.destroy


def compile_content(tree: Mapping[str, bytes], controller: str, folder: str = "") -> Content:
    """Load, lint and compile the files of a pair's folder, empty for the whole repository.

    Raises ConfigurationError with every complaint.
    """
    from reconciler.core.spec import compile_desired, load, settings
    from reconciler.core.spec.orders import fails_over, orders_of
    from reconciler.core.spec.power import power_plan
    from reconciler.core.spec.shares import share_origins, shares_of

    configuration = load(tree, folder)
    content = Content(
        compile_desired(configuration, controller),
        settings(configuration),
        configuration.warnings,
        shares=shares_of(configuration) or None,
        share_origins=share_origins(configuration) if configuration.exports or configuration.targets else {},
    )
    if configuration.failover is None or not fails_over(configuration):
        return content
    orders = orders_of(configuration, controller, 0)
    power = power_plan(configuration.pair.name, configuration.failover.spec.power)
    return replace(content, orders=orders, power=power)


def cached_content(store: Store, commit: str, controller: str, folder: str = "") -> Content | None:
    """The cached content of a commit, None without one."""
    document = store.compiled(_cache_name(commit, controller, folder), __version__)
    if document is None or not document.keys() >= REQUIRED_FIELDS or "addresses" not in document["settings"]:
        return None
    return _content_from_document(document)


def cache_content(store: Store, commit: str, content: Content, folder: str = "") -> None:
    """Cache the content of a commit."""
    name = _cache_name(commit, content.desired.controller, folder)
    store.write_compiled(name, __version__, _content_document(content))


def cache_complaints(store: Store, commit: str, controller: str, error: ConfigurationError, folder: str = "") -> None:
    """Cache the complaints about a defective commit."""
    complaints = [asdict(complaint) for complaint in error.complaints[:COMPLAINTS_MAX]]
    store.write_compiled(f"{_cache_name(commit, controller, folder)}-defects", __version__, complaints)


def require_no_cached_complaints(store: Store, commit: str, controller: str, folder: str = "") -> None:
    """Raise ConfigurationError when complaints about a commit are cached."""
    complaints = store.compiled(f"{_cache_name(commit, controller, folder)}-defects", __version__)
    if complaints:
        raise ConfigurationError([Complaint(**complaint) for complaint in complaints])


def _cache_name(commit: str, controller: str, folder: str) -> str:
    """The name of a cached form. A folder stands in it by its hash, because it has slashes."""
    name = f"{commit}-{controller}"
    return f"{name}-{hashlib.sha256(folder.encode()).hexdigest()[:16]}" if folder else name


def _content_document(content: Content) -> dict[str, Any]:
    desired = content.desired
    return {
        "controller": desired.controller,
        "facts": facts_document(desired.facts),
        "matches": {name: asdict(match) for name, match in desired.matches.items()},
        "match_origins": {name: origin_document(origin) for name, origin in desired.match_origins.items()},
        "origins": [[list(key), origin_document(origin)] for key, origin in desired.origins.items()],
        "virtual": sorted(desired.virtual),
        "drift": asdict(desired.drift),
        "destroy": [[list(key), protected] for key, protected in desired.destroy.items()],
        "alone": desired.alone,
        "settings": asdict(content.settings),
        "warnings": [asdict(warning) for warning in content.warnings],
        "orders": None if content.orders is None else _plain(content.orders),
        "power": None if content.power is None else _plain(content.power),
        "shares": None if content.shares is None else _plain(content.shares),
        "share_origins": {name: origin_document(origin) for name, origin in content.share_origins.items()},
        "position": content.position,
    }


def _content_from_document(document: Mapping[str, Any]) -> Content:
    desired = Desired(
        controller=document["controller"],
        facts=facts_from_document(document["facts"]),
        matches={name: NicMatch(**match) for name, match in document["matches"].items()},
        match_origins={name: origin_from_document(origin) for name, origin in document["match_origins"].items()},
        origins={tuple(key): origin_from_document(origin) for key, origin in document["origins"]},
        virtual=frozenset(document["virtual"]),
        drift=_drift_from_document(document["drift"]),
        destroy={tuple(key): protected for key, protected in document["destroy"]},
        alone=document["alone"],
    )
    warnings = tuple(Complaint(**warning) for warning in document["warnings"])
    orders = None if document["orders"] is None else _orders_from_document(document["orders"])
    power = None if document["power"] is None else _power_from_document(document["power"])
    shares = None if document["shares"] is None else _shares_from_document(document["shares"])
    agent = settings_from_document(document["settings"])
    origins = {name: origin_from_document(origin) for name, origin in document["share_origins"].items()}
    return Content(desired, agent, warnings, orders, document["position"], power, shares, origins)


def _plain(value: Orders | PowerPlan | Shares) -> Any:
    # Imported late: most commands do not use orders.
    from reconciler.core.failover.strict_json import plain

    return plain(value)


def _orders_from_document(document: Any) -> Orders:
    from reconciler.core.failover.orders.orders import Orders
    from reconciler.core.failover.strict_json import build

    return build(Orders, document, "orders", [])


def _power_from_document(document: Any) -> PowerPlan:
    from reconciler.core.failover.strict_json import build
    from reconciler.core.power.plan import PowerPlan

    return build(PowerPlan, document, "power", [])


def _shares_from_document(document: Any) -> Shares:
    from reconciler.core.failover.strict_json import build
    from reconciler.core.shares.shares import Shares

    return build(Shares, document, "shares", [])


def _drift_from_document(document: Mapping[str, Any]) -> DriftPolicy:
    return DriftPolicy(
        DriftMode(document["default"]),
        {kind: DriftMode(mode) for kind, mode in document["kinds"].items()},
        {resource: DriftMode(mode) for resource, mode in document["resources"].items()},
    )
