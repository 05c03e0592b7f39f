"""What a key of the language means, in text: `interface.mtu`, `interface`, or nothing for the kinds.

Reads the JSON Schema, so that an editor and this page never disagree. Decides on layout only.
"""

from __future__ import annotations

import textwrap
from functools import cache
from typing import Any

from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.schema import json_schema
from reconciler.core.spec.yaml_text import yaml_text
from reconciler.errors import UsageError

_WIDTH = 88
_TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list", "object": "mapping"}


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def explain(path: str) -> str:
    """The page for a dotted path; upper and lower case do not matter and `spec` can be left out.

    Raises UsageError with the nearest name when there is no such key.
    """
    schema = _schema()
    definitions: dict[str, Any] = schema["definitions"]
    parts = [part for part in path.strip().strip(".").replace("/", ".").split(".") if part]
    if not parts:
        return _kinds(definitions)
    kind = _find(parts[0], KINDS, "kind")
    walked, node = [kind], _resolved(definitions[kind], definitions)
    required = True
    spec = _resolved(node["properties"]["spec"], definitions)
    if len(parts) > 2 and parts[1].lower() == "spec":
        del parts[1]
    if len(parts) > 1 and parts[1].lower() not in ("apiversion", "kind", "metadata", "spec"):
        node = spec
    for part in parts[1:]:
        node = _entered(node, definitions)
        name = _find(part, node.get("properties", {}), f"key of {'.'.join(walked)}")
        required = name in node.get("required", [])
        node = _resolved(node["properties"][name], definitions)
        walked.append(name)
    if len(parts) == 1:
        example = yaml_text(node["examples"][0]).rstrip("\n")
        about = definitions[KINDS[kind].spec.__name__]["description"]
        return _page(kind, f"{node['description']}\n\n{about}", None, example, spec, definitions)
    facts = _facts(node, definitions, required=required)
    return _page(".".join(walked), node.get("description", ""), facts, _example(walked[-1], node), node, definitions)


def _kinds(definitions: dict[str, Any]) -> str:
    lines = [f"  {kind:<13}{definitions[kind]['description']}" for kind in KINDS]
    hint = "`hagit explain interface` shows the keys of a kind, `hagit explain interface.mtu` one key."
    return "\n".join(["The kinds of hagit/v1:", "", *lines, "", hint]) + "\n"


def _find(word: str, known: Any, what: str) -> str:
    for name in known:
        if name.lower() == word.lower():
            return str(name)
    raise UsageError(f"`{word}` is no {what}", remedy=suggestion(word, known))


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A node with what it refers to; what stands beside the reference goes first."""
    reference = node.get("$ref") or next((part["$ref"] for part in node.get("allOf", []) if "$ref" in part), None)
    if reference is None:
        return node
    beside = {key: value for key, value in node.items() if key not in ("$ref", "allOf")}
    return {**definitions[reference.rpartition("/")[2]], **beside}


def _entered(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The mapping whose keys come next: a list is entered at its items."""
    while "items" in node:
        node = _resolved(node["items"], definitions)
    return node


def _type(node: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " | ".join(dict.fromkeys(str(value) for value in node["enum"]))
    written = node.get("type", "")
    kind = " or ".join(_TYPES[one] for one in written) if isinstance(written, list) else _TYPES.get(written, "value")
    if "items" in node:
        inner = _type(_resolved(node["items"], definitions), definitions)
        return f"list of: {inner}"
    if isinstance(node.get("additionalProperties"), dict):
        inner = _type(_resolved(node["additionalProperties"], definitions), definitions)
        return f"mapping of names to: {inner}"
    if "minimum" in node:
        kind += f", {node['minimum']} to {node['maximum']}"
    return kind


def _facts(node: dict[str, Any], definitions: dict[str, Any], *, required: bool) -> list[str]:
    facts = [_type(node, definitions)]
    if "maxItems" in node:
        facts.append(f"at most {node['maxItems']}")
    if required:
        facts.append("required")
    elif "default" in node:
        default = node["default"]
        text = ", ".join(default) if isinstance(default, list) else str(default)
        facts.append(f"default {text.lower() if isinstance(default, bool) else text}")
    else:
        facts.append("optional")
    return facts


def _example(key: str, node: dict[str, Any]) -> str:
    examples = node.get("examples") or node.get("items", {}).get("examples") or node.get("enum", [])[:1]
    if "default" in node and not examples and not isinstance(node["default"], dict):
        examples = [node["default"]]
    if not examples:
        return ""
    value = examples[0]
    if isinstance(value, dict):
        inner = ", ".join(f"{name}: {word}" for name, word in value.items())
        return f"{key}: {{{inner}}}"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = f'"{text}"' if ":" in text and "/" not in text else text
    return f"{key}: [{text}]" if node.get("type") == "array" else f"{key}: {text}"


def _page(
    title: str,
    description: str,
    facts: list[str] | None,
    example: str,
    node: dict[str, Any],
    definitions: dict[str, Any],
) -> str:
    lines = [title + (f" ({'; '.join(facts)})" if facts else ""), ""]
    for paragraph in description.split("\n\n"):
        lines += [*textwrap.wrap(paragraph, _WIDTH, initial_indent="  ", subsequent_indent="  "), ""]
    properties = _entered(node, definitions).get("properties", {})
    if properties:
        needed = _entered(node, definitions).get("required", [])
        lines.append("Keys:")
        width = max(len(name) for name in properties) + 2
        for name, inner in properties.items():
            resolved = _resolved(inner, definitions)
            sentence = resolved.get("description", "").split(". ")[0].rstrip(".") + "."
            mark = " (required)" if name in needed else ""
            lines += textwrap.wrap(
                sentence + mark, _WIDTH, initial_indent=f"  {name:<{width}}", subsequent_indent=" " * (width + 2)
            )
        lines.append("")
    if example:
        lines += ["Example:", *(f"  {line}" for line in example.split("\n")), ""]
    return "\n".join(lines)


def known_paths() -> list[str]:
    """Every dotted path that `explain` has a page for, in lower case, kinds first: what a shell may complete."""
    definitions: dict[str, Any] = _schema()["definitions"]
    paths = [kind.lower() for kind in KINDS]
    for kind in KINDS:
        spec = _resolved(definitions[kind]["properties"]["spec"], definitions)
        paths += _below(kind.lower(), spec, definitions)
    return paths


def _below(path: str, node: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, inner in _entered(node, definitions).get("properties", {}).items():
        found += [f"{path}.{name}", *_below(f"{path}.{name}", _resolved(inner, definitions), definitions)]
    return found
