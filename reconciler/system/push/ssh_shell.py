"""All that a client of the git user can run: a push to the repository of the pair, or a fetch from it.

It is the login shell of that user and the forced command of every key (sshd(8)), so nothing else starts, whatever a
client asks for. It compares what is asked with what is served, asks the agent whether this controller takes pushes, and
becomes git. What the client sent is not passed on: git gets the path of the repository from the list of keys.
"""

from __future__ import annotations

import os
import resource
import shlex
import sys
from pathlib import Path
from typing import Final

from reconciler.core.push.ssh_command import CommandRefusal, GitService, requested_service
from reconciler.system.push.agent_client import ask_agent
from reconciler.system.push.git_user import GIT_LIMITS, git_environment

REPOSITORY_FOLDER: Final = "pair.git"
SOCKET_FILE: Final = "socket"
SERVE_S: Final = 10.0
NO_SHELL: Final = "there is no shell here: this account serves git push and git fetch and nothing else"


def forced_words(arguments: list[str]) -> tuple[Path, str] | None:
    """Directory and fingerprint of the key from the forced command; None when a shell was asked for."""
    if arguments[:1] == ["-c"] and len(arguments) == 2:
        # sshd runs the forced command by the login shell, which is this program: SHELL -c "SHELL DIRECTORY KEY".
        arguments = shlex.split(arguments[1])[1:]
    if len(arguments) != 2 or not arguments[0].startswith("/") or not arguments[1].startswith("SHA256:"):
        return None
    return Path(arguments[0]), arguments[1]


def main() -> int:
    """Serve one client: become git, or return the exit status of a refusal."""
    words = forced_words(sys.argv[1:])
    service = requested_service(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    if words is None or isinstance(service, CommandRefusal):
        return _refuse(service.why if isinstance(service, CommandRefusal) else NO_SHELL)
    directory, fingerprint = words
    repository = directory / REPOSITORY_FOLDER
    environment = git_environment(repository)
    if service is GitService.PUSH:
        reply = ask_agent(
            (directory / SOCKET_FILE).read_text().strip(), "serve", {"service": service.value}, timeout_s=SERVE_S
        )
        if not reply.accepted:
            return _refuse(reply.text)
        environment["HAGIT_PUSHER"] = fingerprint
    for kind, value in GIT_LIMITS.items():
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value, value) if hard == resource.RLIM_INFINITY else (min(value, hard), hard))
    try:
        os.execvpe("git", ["git", service.value, str(repository)], environment)
    except OSError as error:
        return _refuse(f"git does not start on this controller: {error.strerror}")


def _refuse(why: str) -> int:
    print(f"hagit: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
