"""The kind Alerting: who is told, and when drift is ignored, reported or healed."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, model_validator

from reconciler.core.facts.scope import Scope
from reconciler.core.facts.state import DriftMode
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import ResourceKind
from reconciler.core.spec.values import ResourceName, SecretFile, Url, refuse

#: The names of all kinds, for the JSON Schema. `kinds` fills it in, because a kind cannot know those after it.
KIND_NAMES: Final[list[JsonValue]] = []


class Webhook(Model):
    """A receiver of signed CloudEvents."""

    url: Url | None = Field(None, description="Where alerts are posted to.")
    url_file: SecretFile | None = Field(
        None,
        description="Instead of `url`, when that holds a token: a file on the controller, outside git, that holds it.",
    )
    secret_file: SecretFile | None = Field(
        None, description="A file on the controller, outside git, with the secret that signs each event (HMAC-SHA-256)."
    )

    @model_validator(mode="after")
    def _either(self) -> Webhook:
        if (self.url is None) == (self.url_file is None):
            raise refuse("url-or-url-file", "a webhook has either `url` or `urlFile`", "Keep one of the two.")
        return self


class Notify(Model):
    """Mail or chat."""

    url_file: SecretFile = Field(
        description="A file on the controller, outside git, with one Apprise URL a line; such URLs hold secrets."
    )


class Drift(Model):
    """What happens when reality leaves the desired state by itself."""

    default: Annotated[DriftMode, Loose] = Field(DriftMode.WARN, description="For whatever is not listed.")
    kinds: dict[str, Annotated[DriftMode, Loose]] = Field(
        default_factory=dict,
        description="By kind: `Interface: heal`.",
        examples=[{"Interface": "heal"}],
        json_schema_extra={"propertyNames": {"enum": KIND_NAMES}},
    )
    resources: dict[ResourceName, Annotated[DriftMode, Loose]] = Field(
        default_factory=dict,
        description="By resource, which goes before the kind: `Interface/storage0: ignore`.",
        examples=[{"Interface/storage0": "ignore"}],
    )


class AlertingSpec(Model):
    """Who is told, and when drift is only reported, healed or ignored. There is at most one Alerting."""

    alertmanager: list[Url] = Field(
        default_factory=list, max_length=16, description="Alertmanagers of Prometheus; each is told everything."
    )
    webhooks: list[Webhook] = Field(
        default_factory=list, max_length=16, description="Receivers of signed CloudEvents over HTTP."
    )
    notify: list[Notify] = Field(default_factory=list, max_length=16, description="Mail and chat, by Apprise.")
    drift: Drift = Field(
        default_factory=lambda: Drift.model_validate({}),
        description="ignore, warn or heal: when reality leaves the desired state by itself.",
    )


class AlertingDocument(Document):
    """Who is told about drift and trouble, and what is done about drift."""

    model_config = example(
        "Alerting",
        "alerts",
        alertmanager=["http://alerts.example.org:9093"],
        drift={"default": "warn", "kinds": {"Interface": "heal"}},
    )

    kind: Literal["Alerting"] = Field(description="Always `Alerting`.")
    spec: AlertingSpec = Field(description="Receivers and the drift policy.")


ALERTING = ResourceKind("Alerting", AlertingDocument, AlertingSpec, Scope.SOURCE, single=True)
