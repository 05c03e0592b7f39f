"""The JSON Schema of one YAML document, generated from the models: for editors, CI and `explain`.

Written for draft 7, which is what yaml-language-server reads: no `prefixItems`, nothing beside a `$ref`. Decides
nothing about the language; what a schema cannot say (networks, references between resources) is left to `lint`.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import models_json_schema

from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.model import API_VERSION

_SOFT_BREAK = re.compile(r"(?<!\n)\n(?!\n)")


def json_schema() -> dict[str, Any]:
    """The schema of one document of the language; which kind it is decides which definition holds."""
    _, generated = models_json_schema(
        [(kind.document, "validation") for kind in KINDS.values()], by_alias=True, ref_template="#/definitions/{model}"
    )
    names = {kind.document.__name__: kind.name for kind in KINDS.values()}
    generated = {names.get(name, name): definition for name, definition in generated["$defs"].items()}
    definitions = {name: _plain(generated[name]) for name in sorted(generated)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "hagit: the desired state of a pair",
        "description": "One resource. A file can hold several, with a line of three dashes between them.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": f"Always `{API_VERSION}`."},
            "kind": {
                "enum": list(KINDS),
                "description": "What this resource describes: "
                + " ".join(f"{kind}: {definitions[kind]['description']}" for kind in KINDS),
            },
            "metadata": {"$ref": "#/definitions/Metadata"},
            "spec": {"type": "object"},
        },
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/definitions/{kind}"},
            }
            for kind in KINDS
        ],
        "definitions": definitions,
    }


def _plain(node: Any) -> Any:
    """The generated schema without what says nothing: null branches, null defaults, titles made from names."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {
        key: _properties(value) if key == "properties" else _plain(value) for key, value in node.items()
    }
    if "default" in result and result["default"] in (None, [], {}):
        del result["default"]
    result.pop("title", None)
    if isinstance(result.get("description"), str):
        result["description"] = _SOFT_BREAK.sub(" ", result["description"])
    branches = [branch for branch in result.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1:
        del result["anyOf"]
        result = branches[0] | result
    if "$ref" in result and len(result) > 1:
        result = {"allOf": [{"$ref": result.pop("$ref")}], **result}
    return result


def _properties(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(definition) for name, definition in properties.items()}
