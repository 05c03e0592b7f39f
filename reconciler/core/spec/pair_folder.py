"""The folder of one pair in a repository of many, and the folders that it shares with other pairs.

The node file of a controller names the folder (`[source] path`); the Pair in it names the shared folders. The state of
the pair is what the files of these folders say together: a shared document is no template, and no folder overrides
another one. Does not read files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.core.facts.folder import FOLDER, lies_in, overlap
from reconciler.core.spec.defect import Finding
from reconciler.core.spec.limits import SHARED_MAX
from reconciler.core.spec.text import decode, is_yaml
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import documents
from reconciler.errors import Complaint


def shared_folders(tree: Mapping[str, bytes], folder: str) -> tuple[str, ...]:
    """The folders that the Pair in the files of `folder` shares, in their order; those that no loader would take left
    out.

    A file that cannot be read names none: the loader complains about it. Without `folder` nothing is shared, because
    every file of the repository belongs to the pair.
    """
    found: dict[str, None] = {}
    for path in sorted(tree) if folder else ():
        # A key may be written with escapes, which contain a backslash.
        if not is_yaml(path) or not (b"shared" in tree[path] or b"\\" in tree[path]):
            continue
        text, _ = decode(path, tree[path])
        for document in documents(path, text):
            match document.value:
                case {"kind": "Pair", "spec": {"shared": list(named)}} if document.readable:
                    found |= dict.fromkeys(_name(one) for one in named[:SHARED_MAX] if _fits(one, folder))
    return tuple(found)


def folder_complaints(draft: SpecDraft, folder: str) -> list[Complaint]:
    """The complaints about where the documents of a draft stand, and about what they say of folders.

    `folder`: the folder of the pair, empty for the whole repository.
    """
    return [
        resource.complaint(path, what, remedy, "folder")
        if resource is not None
        else Complaint(folder or "(all files)", 0, 0, what, remedy, "folder")
        for resource, path, what, remedy in (*_about_source(draft, folder), *_about_pair(draft, folder))
    ]


def no_files(folder: str) -> Complaint:
    """The complaint about a folder of a pair that has no YAML file, or is not there."""
    remedy = "The node file names it, [source] path: write the pair there, or correct the node file."
    return Complaint(folder, 0, 0, "there is no YAML file in this folder of the repository", remedy, "folder")


def _about_source(draft: SpecDraft, folder: str) -> Iterator[Finding]:
    path = draft.source.spec.path if draft.source is not None else None
    if path is None or path == folder:
        return
    what = f"this Source is that of the folder `{path}`, and it was read for " + (
        f"the folder `{folder}`" if folder else "a pair that has the whole repository"
    )
    remedy = "Leave `path` out of a shared Source. "
    remedy += f'Write path = "{path}" into [source] of the node file if the controller belongs to that pair.'
    yield draft.source, ("path",), what, remedy


def _about_pair(draft: SpecDraft, folder: str) -> Iterator[Finding]:
    pair = draft.pair
    if pair is None:
        return
    shared = pair.spec.shared
    if not folder:
        if shared:
            what = "a pair that has the whole repository shares no folders: all files are its own"
            remedy = "Name the folder of this pair: [source] path in the node file; `hagit validate --path FOLDER`."
            yield pair, ("shared",), what, remedy
        return
    above = pair.document.file.rpartition("/")[0]
    if above != folder:
        what = f"the Pair stands in `{above}`, and not in the folder of this pair, `{folder}`"
        yield pair, (), what, "In a repository of many pairs the folder with the Pair is the folder of the pair."
    files = {resource.document.file for resource in draft.resources}
    for at, name in enumerate(shared):
        if overlap(name, folder):
            yield pair, ("shared", at), f"`{name}` and the folder of the pair contain one another", "Move one of them."
        elif any(overlap(name, other) for other in shared[:at]):
            yield pair, ("shared", at), f"`{name}` is part of another shared folder, or contains it", "Name one."
        elif not draft.incomplete and not any(lies_in(file, name) for file in files):
            what = f"there is no document in a folder `{name}` of the repository"
            yield pair, ("shared", at), what, "Name it from the root of the repository."


def _fits(name: object, folder: str) -> bool:
    return isinstance(name, str) and re.fullmatch(FOLDER, name) is not None and not overlap(_name(name), folder)


def _name(text: str) -> str:
    return text.removesuffix("/")
