"""Hosting on this controller: the repository, the files of its SSH server, the socket of its hooks, and a thread.

The thread looks every second whether the list of keys is still that of the revision in force, and every few seconds
whether the peer has the same commits. Nothing here may keep the agent from starting: what is wrong is said and tried
again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final

from reconciler.agent.push.push_peer import PeerChannel
from reconciler.agent.push.push_service import PushAnswers
from reconciler.agent.push.pusher_keys import pusher_keys
from reconciler.agent.push.synchronisation import PairRepositories, SyncCondition
from reconciler.agent.session import Session
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.push.roles import PushRole
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s
from reconciler.system.files import PUBLIC, write_atomic
from reconciler.system.node import Node
from reconciler.system.node_push import PushNode
from reconciler.system.push.agent_socket import AgentSocket
from reconciler.system.push.git_user import git_user
from reconciler.system.push.hosted_repository import HostedRepository
from reconciler.system.push.ssh_shell import SOCKET_FILE
from reconciler.system.push.sshd_files import write_keys, write_sshd_config
from reconciler.system.watchdog_client import read_status

LOOK_S: Final = 1.0
#: Time between two comparisons with the peer. A push does not wait for it.
COMPARE_S: Final = 5.0
#: A peer that was heard within this time counts as there.
HEARD_MS: Final = 5_000


class PushHost:
    """Hosts from `start` to `close`. `follow`: makes the agent look at its source.

    `channel`: the channel to the peer of a Session.
    """

    def __init__(
        self,
        node: Node,
        push: PushNode,
        follow: Callable[[], None],
        channel: Callable[[Session], PeerChannel | None],
    ) -> None:
        self._node, self._push, self._follow, self._channel = node, push, follow, channel
        self._pair: PairRepositories | None = None
        self._socket: AgentSocket | None = None
        self._noted = ""
        self._compared_s = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="push host", daemon=True)

    @property
    def conditions(self) -> tuple[SyncCondition, ...]:
        """What keeps the repositories of the two controllers apart."""
        return self._pair.conditions if self._pair is not None else ()

    @property
    def pair(self) -> PairRepositories | None:
        """The repositories; None until they could be made."""
        return self._pair

    def start(self) -> None:
        """Host from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop taking pushes."""
        self._stopping.set()
        if self._socket is not None:
            self._socket.close()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def compare_soon(self) -> None:
        """Compare with the peer at the next look."""
        self._compared_s = float("-inf")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
                self._noted = ""
            except HagitError as error:
                self._say(str(error))
            except Exception as error:
                # A defect here must not end hosting for good: the next look may succeed.
                self._say(f"a defect: {error!r:.300}")
            self._stopping.wait(LOOK_S)

    def _look(self) -> None:
        with Session(self._node.path) as session:
            if self._pair is None:
                self._prepare(session)
            shell = git_user(self._push.user).shell
            write_keys(pusher_keys(self._node, session.store.accepted()), self._push, shell)
            due = self._pair is not None and not self._pair.held
            if self._pair is not None and due and monotonic_s() - self._compared_s >= COMPARE_S:
                self._compared_s = monotonic_s()
                if self._pair.catch_up(session):
                    self._follow()

    def _prepare(self, session: Session) -> None:
        user = git_user(self._push.user)
        repository = HostedRepository(self._push.repository, user)
        branch = trust_policy_in_force(self._node, session.store.accepted()).branch
        repository.prepare(branch, self._push.socket)
        write_atomic(self._push.directory / SOCKET_FILE, f"{self._push.socket}\n".encode(), mode=PUBLIC)
        write_sshd_config(self._node, self._push)
        pair = PairRepositories(self._push, repository, self._channel)
        answers = PushAnswers(self._node, self._push, pair, role=lambda: push_role(self._node), follow=self._follow)
        self._socket = AgentSocket(self._push.socket, user, answers.answer)
        self._socket.start()
        self._pair = pair

    def _say(self, text: str) -> None:
        """Say it once, not every second."""
        if text != self._noted:
            self._noted = text
            print(f"hagit agent: pushes to the pair: {text}", file=sys.stderr)


def push_role(node: Node) -> PushRole:
    """Whether this controller is the standby of a living, active peer, as its watchdog says."""
    reading = read_status(node)
    status = reading.status if reading is not None and reading.fresh else None
    if status is None:
        return PushRole()
    heard = status.peer.age_ms is not None and status.peer.age_ms < HEARD_MS
    standby = status.phase != Phase.ACTIVE and status.peer.phase == Phase.ACTIVE and heard
    addresses = tuple(dict.fromkeys(one.address.partition("/")[0] for one in status.addresses))
    return PushRole(standby, addresses)


def push_host_of(node: Node, follow: Callable[[], None]) -> PushHost | None:
    """The host of an agent; None where the node file has no [push]."""
    return None if node.push is None else PushHost(node, node.push, follow, lambda session: session.peer)
