"""What a configuration asks of the agent itself: whom it follows, whom it trusts, whom it tells.

Decides nothing: it turns resources into the plain values that the agent works with, defaults filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.facts.state import DriftPolicy
from reconciler.core.spec.configuration import Configuration, Resource
from reconciler.core.spec.kinds import AlertingSpec, Applying, Signing


@dataclass(frozen=True, slots=True)
class PairNames:
    """The controllers by "a" and "b", those that are described; serial numbers only where they are given."""

    name: str
    hostnames: Mapping[str, str]
    serials: Mapping[str, str] = field(default_factory=dict)
    virtual_hostname: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """Which commits are followed. `remotes` are URLs or absolute paths, in the order in which they are tried."""

    remotes: tuple[str, ...]
    branch: str = "main"
    interval_s: float = 60.0
    trusted_signers: tuple[str, ...] = ()
    unsigned: Signing = Signing.REFUSE
    apply: Applying = Applying.AUTOMATIC


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver of signed CloudEvents. `secret_file` is a path on the controller."""

    url: str
    secret_file: str | None = None


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Who is told. `notify` are paths of files that hold Apprise URLs."""

    alertmanager: tuple[str, ...] = ()
    webhooks: tuple[Receiver, ...] = ()
    notify: tuple[str, ...] = ()
    drift: DriftPolicy = field(default_factory=DriftPolicy)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in a configuration that is about the agent and not about the network. No Source: None."""

    pair: PairNames
    source: SourcePolicy | None
    alerting: AlertPolicy


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
    return Settings(pair, _source(configuration), _alerting(configuration.alerting))


def drift_policy(alerting: Resource[AlertingSpec] | None) -> DriftPolicy:
    """The drift policy of an Alerting, or the default one."""
    if alerting is None:
        return DriftPolicy()
    drift = alerting.spec.drift
    return DriftPolicy(drift.default, dict(drift.kinds), dict(drift.resources))


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
    )


def _alerting(alerting: Resource[AlertingSpec] | None) -> AlertPolicy:
    if alerting is None:
        return AlertPolicy()
    spec = alerting.spec
    return AlertPolicy(
        alertmanager=tuple(spec.alertmanager),
        webhooks=tuple(Receiver(webhook.url, webhook.secret_file) for webhook in spec.webhooks),
        notify=tuple(notify.url_file for notify in spec.notify),
        drift=drift_policy(alerting),
    )
