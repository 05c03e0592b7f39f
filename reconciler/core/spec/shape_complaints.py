"""pydantic's errors in plain words: what is wrong, where it stands, and what to do.

Decides on wording only; the shapes are `interface`'s and `kinds`'. Validators of our own bring their words along as
the error's context, with the complaint's code as its type.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from reconciler.core.spec.limits import COMPLAINTS_MAX
from reconciler.core.spec.nearest import nearest, suggestion
from reconciler.core.spec.tree import Path, YamlDocument
from reconciler.core.spec.values import shown
from reconciler.errors import Complaint

_BOUNDS = {
    "greater_than_equal": ("ge", "the least is {}", "out-of-range"),
    "less_than_equal": ("le", "the most is {}", "out-of-range"),
    "too_long": ("max_length", "at most {} can be given", "too-many"),
    "too_short": ("min_length", "at least {} is needed", "too-few"),
}
_TYPES = {
    "int_type": ("a whole number", "Write it without quotes."),
    "bool_type": ("`true` or `false`", "Write true or false, without quotes."),
    "list_type": ("a list", "Write [one, two] or one `- item` a line."),
    "dict_type": ("a mapping", "Write `key: value` lines, indented below it."),
    "model_type": ("a mapping", "Write `key: value` lines, indented below it."),
    "model_attributes_type": ("a mapping", "Write `key: value` lines, indented below it."),
    "string_type": ("text", "Quote it."),
}


def complaints(document: YamlDocument, model: type[BaseModel], error: ValidationError) -> list[Complaint]:
    """Every error that is not about something complained about already."""
    found = []
    for detail in error.errors(include_url=False)[:COMPLAINTS_MAX]:
        path = tuple(detail["loc"])
        if any(path[:length] in document.refused for length in range(len(path) + 1)):
            continue
        what, remedy, code, at_key = _words(model, path, detail)
        line, column = document.key_place(path) if at_key else document.place(path)
        found.append(Complaint(document.file, line, column, what, remedy, code))
    return found


def _words(model: type[BaseModel], path: Path, detail: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    kind = detail["type"]
    context = detail.get("ctx", {})
    name = _name(path)
    if "remedy" in context:
        return context["what"], context["remedy"], kind, False
    if kind == "extra_forbidden":
        return f"unknown key `{path[-1]}`", suggestion(str(path[-1]), keys(model, path[:-1])), "unknown-key", True
    if kind == "missing":
        return f"{name} is missing", _description(model, path), "missing-key", False
    if kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']*)'", context["expected"])
        listed = ", ".join(f"`{word}`" for word in known)
        given = str(detail["input"])
        close = nearest(given, known)
        remedy = f"Did you mean `{close}`?" if close and close != given else "Write one of them."
        return f"{name} is {shown(detail['input'])}; it can be {listed}", remedy, "unknown-value", False
    if kind in _BOUNDS:
        key, words, code = _BOUNDS[kind]
        bound = words.format(context[key])
        given = "" if isinstance(detail["input"], list | dict) else f" is {shown(detail['input'])};"
        return f"{name}{given or ':'} {bound}", _description(model, path), code, False
    expected, remedy = _TYPES.get(kind, (detail["msg"], "See `hagit explain`."))
    if kind == "int_type" and re.match(r"[-+]?[0-9]", str(detail["input"])):
        number = str(detail["input"])
        if whole := re.fullmatch(r"([0-9]+)\.0*", number):
            return (
                f"{name} must be {expected}, not {number}",
                f"Write it without a point: {whole[1]}.",
                "wrong-type",
                False,
            )
        if not number.isdecimal():
            return (
                f"{name} must be {expected}, not {number[:60]}",
                "Write it in digits alone: 1500.",
                "wrong-type",
                False,
            )
    given = f'the text "{detail["input"][:60]}"' if isinstance(detail["input"], str) else shown(detail["input"])
    return f"{name} must be {expected}, not {given}", remedy, "wrong-type", False


def _name(path: Path) -> str:
    words = [part for part in path if isinstance(part, str)]
    if path and isinstance(path[-1], int):
        return f"item {path[-1] + 1} of `{words[-1] if words else ''}`"
    return f"`{words[-1]}`" if words else "the document"


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, Any]:
    """The model behind an annotation (Optional and Annotated taken off), and what a list or dict of it holds."""
    arguments = typing.get_args(annotation)
    if isinstance(annotation, type) and not arguments and issubclass(annotation, BaseModel):
        return annotation, None
    origin = typing.get_origin(annotation)
    if origin in (list, dict):
        return None, arguments[-1]
    for argument in arguments:
        model, item = _inner(argument)
        if model or item:
            return model, item
    return None, None


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    item: Any = None
    for part in path:
        if item is not None:
            current, item = _inner(item)
            continue
        if current is None:
            return None
        field = next((field for field in current.model_fields.values() if field.alias == part), None)
        if field is None:
            return None
        current, item = _inner(field.annotation)
    return current


def keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand in the mapping at `path`."""
    inner = _model_at(model, path)
    return [field.alias or name for name, field in inner.model_fields.items()] if inner else []


def _description(model: type[BaseModel], path: Path) -> str:
    inner = _model_at(model, path[:-1])
    if inner is None:
        return "See `hagit explain`."
    found = (field.description for field in inner.model_fields.values() if field.alias == path[-1])
    return next(found, None) or "See `hagit explain`."
