"""The table [push] of the node file: this controller hosts the repository of its pair.

Says where repository, socket and host key lie, and which user of the system serves git. Who may push stands in the
revision in force and in the trust of the node file, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.errors import NodeFileError

USER: Final = "hagit-git"
PORT: Final = 9722
SOCKET: Final = Path("/run/hagit/push.sock")
#: The name of the repository in the directory, and in the URLs of clients.
REPOSITORY_FOLDER: Final = "pair.git"
#: useradd(8), CAVEATS.
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class PushNode:
    """`user` serves git and has no shell; `port`: of its own SSH server; `directory`: repository, list of keys, host
    key. `host_key` None: one that the agent makes in the directory. `socket`: where the hooks ask the agent.
    """

    directory: Path
    user: str = USER
    port: int = PORT
    host_key: Path | None = None
    socket: Path = SOCKET

    @property
    def repository(self) -> Path:
        """The hosted repository."""
        return self.directory / REPOSITORY_FOLDER


def push_node(table: dict[str, Any], node_file: Path, state: Path) -> PushNode:
    """The node's part of hosting. Raises NodeFileError for a key that is unknown or does not fit."""
    user, port = table.pop("user", USER), table.pop("port", PORT)
    paths = {name: table.pop(name, None) for name in ("directory", "host_key", "socket")}
    for key in table:
        raise NodeFileError(f"`push.{key}` is not known here; see `hagit explain node`", where=str(node_file))
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise _unfit("user", user, node_file)
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:
        raise _unfit("port", port, node_file)
    for name, value in paths.items():
        if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
            raise _unfit(name, value, node_file)
    found = {name: (node_file.parent / value).absolute() for name, value in paths.items() if value is not None}
    directory = found.get("directory", state / "push")
    if any(sign in str(directory) for sign in " \"'\\"):
        # The path stands in files of sshd and in scripts of git.
        raise _unfit("directory", str(directory), node_file)
    return PushNode(directory, user, port, found.get("host_key"), found.get("socket", SOCKET))


def _unfit(key: str, value: object, node_file: Path) -> NodeFileError:
    return NodeFileError(f"`push.{key}` has a value that does not fit: {value!r:.200}", where=str(node_file))
