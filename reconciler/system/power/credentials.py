"""Credentials of fence agents, read from files of this controller at the moment of use.

Decides which files are believed to be secret: regular ones that belong to root and that no other user may read. Nothing
of what is read is kept, shown or logged.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import NodeFileError
from reconciler.system.secret import read_secret


def read_credential(path: Path) -> str:
    """The one line in a file, without the white space around it.

    Raises NodeFileError when it cannot be read, when others than its owner may read it, or when it is not one line of
    text: an agent reads lines.
    """
    data = read_secret(path, bytes_min=1)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        raise NodeFileError("a secret for a fence agent has to be one line of text", where=str(path))
    return text
