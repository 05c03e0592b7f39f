"""What a configuration asks of the agent itself: whom it follows, whom it trusts, whom it tells.

Decides nothing: it turns resources into the plain values that the agent works with, defaults filled in.
"""

from __future__ import annotations

from reconciler.core.facts.settings import AlertPolicy, PairNames, Receiver, Settings, SourcePolicy
from reconciler.core.facts.state import DriftPolicy
from reconciler.core.spec.alerting import AlertingSpec
from reconciler.core.spec.configuration import Configuration, Resource


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
        webhooks=tuple(Receiver(hook.url or "", hook.secret_file, hook.url_file or "") for hook in spec.webhooks),
        notify=tuple(notify.url_file for notify in spec.notify),
    )
