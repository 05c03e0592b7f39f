"""The content of a revision: YAML checked and compiled for this controller, kept so that it need not be parsed again.

The kept form is a cache, keyed by commit, controller and version of hagit; a command that finds it imports neither
the YAML parser nor the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reconciler import __version__
from reconciler.agent.store import Store
from reconciler.core.facts.codec import (
    facts_document,
    facts_from_document,
    origin_document,
    origin_from_document,
)
from reconciler.core.facts.settings import Settings, settings_from_document
from reconciler.core.facts.state import Desired, DriftMode, DriftPolicy, NicMatch
from reconciler.errors import Complaint


@dataclass(frozen=True, slots=True)
class Content:
    """What a revision asks of this controller, and of the agent itself; `warnings` of the linter."""

    desired: Desired
    settings: Settings
    warnings: tuple[Complaint, ...] = ()


def compile_content(tree: Mapping[str, bytes], controller: str) -> Content:
    """Load, lint and compile. Raises ConfigurationError with every complaint."""
    from reconciler.core.spec import compile_desired, load, settings

    configuration = load(tree)
    return Content(compile_desired(configuration, controller), settings(configuration), configuration.warnings)


def kept_content(store: Store, commit: str, controller: str) -> Content | None:
    """The content that was kept for a commit, None when there is none."""
    document = store.compiled(f"{commit}-{controller}", __version__)
    return None if document is None else _content_from_document(document)


def keep_content(store: Store, commit: str, content: Content) -> None:
    """Keep the content of a commit."""
    store.keep_compiled(f"{commit}-{content.desired.controller}", __version__, _content_document(content))


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
        "settings": asdict(content.settings),
        "warnings": [asdict(warning) for warning in content.warnings],
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
    )
    warnings = tuple(Complaint(**warning) for warning in document["warnings"])
    return Content(desired, settings_from_document(document["settings"]), warnings)


def _drift_from_document(document: Mapping[str, Any]) -> DriftPolicy:
    return DriftPolicy(
        DriftMode(document["default"]),
        {kind: DriftMode(mode) for kind, mode in document["kinds"].items()},
        {resource: DriftMode(mode) for resource, mode in document["resources"].items()},
    )
