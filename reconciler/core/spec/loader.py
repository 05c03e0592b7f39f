"""A tree of files to a configuration, or every complaint about it at once.

Decides the order of the checks (size, characters, syntax, shape, defects across resources) and that each one goes as
far as it can. Does not read files: it is given their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from reconciler.core.facts.folder import lies_in
from reconciler.core.spec.configuration import Configuration, Resource
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.limits import COMPLAINTS_MAX, RESOURCES_MAX
from reconciler.core.spec.lint import lint
from reconciler.core.spec.model import API_VERSION
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.pair_folder import folder_complaints, no_files
from reconciler.core.spec.shape_complaints import complaints
from reconciler.core.spec.text import decode, is_yaml, size_complaints
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import YamlDocument, documents
from reconciler.core.spec.values import shown
from reconciler.errors import Complaint, ConfigurationError


def load(tree: Mapping[str, bytes], folder: str = "") -> Configuration:
    """The configuration in the YAML files of a tree (path -> content); other files are left alone.

    `folder`: that of the pair in a repository of many; the tree has its files and those of the folders that it shares
    (`pair_folder`). Raises ConfigurationError with every complaint, in the order of the files.
    """
    if folder and not any(lies_in(path, folder) for path in tree):
        raise ConfigurationError([no_files(folder)])
    files = {path: tree[path] for path in sorted(tree) if is_yaml(path)}
    found = size_complaints(files)
    if found:
        raise ConfigurationError(found)
    resources: list[Resource[Any]] = []
    count = 0
    for path, data in files.items():
        text, wrong = decode(path, data)
        found += wrong
        for document in documents(path, text):
            count += 1
            if count > RESOURCES_MAX:
                raise ConfigurationError([_too_many(document)])
            resource = _resource(document)
            found += document.complaints
            if resource is not None:
                resources.append(resource)
            if len(found) > COMPLAINTS_MAX:
                raise ConfigurationError(foremost(found))
    draft = SpecDraft.made_of(resources, incomplete=bool(found))
    errors, warnings = lint(draft)
    errors += folder_complaints(draft, folder)
    if found or errors:
        raise ConfigurationError(foremost(found + errors))
    assert draft.pair is not None
    return Configuration(draft.by_kind, tuple(sorted(warnings)))


def foremost(complaints: list[Complaint]) -> list[Complaint]:
    """At most as many complaints as people read, the first ones, and a word about the rest."""
    if len(complaints) <= COMPLAINTS_MAX:
        return complaints
    what = f"more than {COMPLAINTS_MAX:,} defects; the rest is not listed"
    return [*sorted(complaints)[:COMPLAINTS_MAX], Complaint("(all files)", 0, 0, what, "Mend these first.", "too-many")]


def _too_many(document: YamlDocument) -> Complaint:
    what = f"more than {RESOURCES_MAX:,} documents"
    return Complaint(document.file, *document.place(()), what, "A pair needs a hundredth of that.", "too-many")


def _resource(document: YamlDocument) -> Resource[Any] | None:
    """The resource in a document, or None; what is wrong is added to the document's complaints."""
    if not document.readable:
        return None
    if not isinstance(document.value, dict):
        what = f"a resource must be a mapping, not {shown(document.value)}"
        _complain(document, (), what, f"Begin with `apiVersion: {API_VERSION}`.", "wrong-type")
        return None
    kind, version = document.value.get("kind"), document.value.get("apiVersion")
    if version != API_VERSION and "apiVersion" in document.value:
        what = f"`apiVersion` is {shown(version)}; this hagit reads {API_VERSION}"
        _complain(document, ("apiVersion",), what, f"Write `apiVersion: {API_VERSION}`.", "api-version")
        document.refused.add(("apiVersion",))
    if not isinstance(kind, str) or kind not in KINDS:
        if kind is None:
            _complain(document, (), "`kind` is missing", suggestion("", KINDS), "missing-key")
        else:
            _complain(document, ("kind",), f"unknown kind {shown(kind)}", suggestion(str(kind), KINDS), "unknown-kind")
        return None
    model = KINDS[kind].document
    try:
        parsed: Any = model.model_validate(document.value)
    except ValidationError as error:
        document.complaints += complaints(document, model, error)
        return None
    if document.complaints:
        return None
    return Resource(kind, parsed.metadata.name, parsed.spec, document)


def _complain(document: YamlDocument, path: tuple[str, ...], what: str, remedy: str, code: str) -> None:
    document.complaints.append(Complaint(document.file, *document.place(path), what, remedy, code))
