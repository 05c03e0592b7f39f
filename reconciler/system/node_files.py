"""The files that a node file names: what the system keeps from datasets, and from alert targets of the repository.

Decides which names of the node file are files of this controller. Opens none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.system.node import Node


def files_of(node: Node) -> Iterator[Path]:
    """The node file and every other that it names as a key, a secret, a list of signers or a program."""
    source, trust, watchdog = node.source, node.trust, node.watchdog
    yield node.path
    yield from (path for _, path in (*node.power, *node.fence_agents, *node.tsig))
    yield from filter(None, (source.key, source.token, source.known_hosts, source.certificate_authorities))
    yield from filter(None, (trust.allowed_signers, trust.revoked_keys, trust.keyring))
    if node.listen is not None and node.listen.hook_secret is not None:
        yield node.listen.hook_secret
    if watchdog is not None:
        yield watchdog.secret
        yield from (path for _, path in watchdog.chap)
        if watchdog.carp_password is not None:
            yield watchdog.carp_password
