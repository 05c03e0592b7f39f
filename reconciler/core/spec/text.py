"""Which bytes may be read as YAML at all: the cheap checks that come before the parser.

Decides on size, encoding, control characters, tabs and directives, with linear searches only, so that hostile input
costs no more than its length. Does not know YAML's structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.core.spec.limits import FILE_BYTES_MAX, TREE_BYTES_MAX
from reconciler.errors import Complaint

_TAB = re.compile(r"^[ ]*\t", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
# Next to control characters: the line ends that only YAML 1.1 knows (NEL, LS, PS) and a byte order mark inside the
# text, because programs disagree about all of them.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def is_yaml(path: str) -> bool:
    """True for the files of a tree that are read: `*.yaml` and `*.yml` in any case, nothing hidden (`.github/…`)."""
    return path.lower().endswith((".yaml", ".yml")) and not any(part.startswith(".") for part in path.split("/"))


def size_complaints(tree: Mapping[str, bytes]) -> list[Complaint]:
    """Files that are too large, or too much together."""
    found = [
        Complaint(
            path,
            0,
            0,
            f"the file has {len(data):,} bytes; {FILE_BYTES_MAX:,} are the limit",
            "A desired state is small; split it, or move what is no configuration out of the *.yaml files.",
            "file-too-large",
        )
        for path, data in tree.items()
        if len(data) > FILE_BYTES_MAX
    ]
    total = sum(len(data) for data in tree.values())
    if not found and total > TREE_BYTES_MAX:
        remedy = "Move what is no configuration out of the *.yaml files."
        what = f"the YAML files have {total:,} bytes together; {TREE_BYTES_MAX:,} are the limit"
        found.append(Complaint("(all files)", 0, 0, what, remedy, "tree-too-large"))
    return found


def decode(path: str, data: bytes) -> tuple[str, list[Complaint]]:
    """The text of one file and what is wrong with its characters. The text is empty when there is a complaint."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        complaint = _complaint(path, before, len(before), what, "Save the file as UTF-8.", "not-utf8")
        return "", [complaint]
    found = list(_characters(path, text))
    return ("" if found else text), found


def _characters(path: str, text: str) -> Iterator[Complaint]:
    if match := _CONTROL.search(text):
        what = f"the character U+{ord(match[0]):04X} does not belong into a text file"
        yield _complaint(path, text, match.start(), what, "Delete it.", "control-character")
    if match := _TAB.search(text):
        remedy = "Indent with spaces; YAML does not allow tabs there."
        yield _complaint(path, text, match.end() - 1, "a tab in the indentation", remedy, "tab")
    if match := _DIRECTIVE.search(text):
        what = "a line that begins with `%` is a YAML directive, and programs disagree about those"
        yield _complaint(path, text, match.start(), what, "Delete the line.", "directive")


def _complaint(path: str, text: str, position: int, what: str, remedy: str, code: str) -> Complaint:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return Complaint(path, line, column, what, remedy, code)
