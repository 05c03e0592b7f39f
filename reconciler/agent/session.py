"""One controller opened: its node file, state directory, mirror and network, each opened when first used.

The agent and the commands work through it, so that both do the same in the same way. It is the only door of a command
to the agent's engine: choose a revision, plan, apply. Imports are late, so that a command pays for what it uses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from reconciler.agent.source.content import Content, cached_content
from reconciler.agent.store import Store
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError
from reconciler.system.files import hang_up_holder, holder_of
from reconciler.system.node import Node, find_node_file, load_node

if TYPE_CHECKING:
    from reconciler.agent.change_confirmation import ChangeConfirmation
    from reconciler.agent.enrolment_recovery import EnrolmentRemains
    from reconciler.agent.executor import ApplyOutcome, Progress
    from reconciler.agent.host import LiveHost
    from reconciler.agent.orders_file import OrdersFile
    from reconciler.agent.push.synchronisation import PairRepositories
    from reconciler.agent.source.blame import Blamer
    from reconciler.agent.source.selection import Selection
    from reconciler.core.facts.settings import PairNames
    from reconciler.core.facts.state import Origin
    from reconciler.core.planning.plan import Blame, OrdersChange, Plan
    from reconciler.core.spec import Configuration
    from reconciler.errors import NodeFileError
    from reconciler.system.git.mirror import Mirror
    from reconciler.system.netlink.live_network import LiveNetwork
    from reconciler.system.peer.channel import PeerClient


__all__ = ["UNCOMMITTED", "ApplyOutcome", "Content", "Selection", "Session"]

#: As many revisions as one reconciliation or one command is about: the one in force and the newest one.
CONTENTS_MAX: Final = 2
#: Branch and commit of a revision that is no commit: the files of a directory.
UNCOMMITTED: Final = "uncommitted"


class Session:
    """Belongs to one thread. Raises NodeFileError or StateError when it cannot be opened."""

    def __init__(self, node_file: Path | None) -> None:
        self.node: Node = load_node(find_node_file(node_file))
        self.store = Store(self.node.state)
        self._mirror: Mirror | None = None
        self._network: LiveNetwork | None = None
        self._host: LiveHost | None = None
        self._orders: OrdersFile | None = None
        self._blamer: tuple[str, Blamer] | None = None
        self._peer: PeerClient | None = None
        #: The contents that were used last, by commit and folder: reading a large one takes longer than using it.
        self._contents: dict[tuple[str, str], Content] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._network is not None:
            self._network.close()

    @property
    def host(self) -> LiveHost:
        """The live network, and the selected pools."""
        if self._host is None:
            from reconciler.agent.host import LiveHost
            from reconciler.system.netlink.live_network import LiveNetwork

            self._network = LiveNetwork(self.node.hostname_file, self.node.resolver_file)
            self._host = LiveHost(self._network, self.node)
        return self._host

    @property
    def orders(self) -> OrdersFile | None:
        """The orders of this controller's watchdog; None on a node that has none."""
        if self._orders is None and self.node.watchdog is not None:
            from reconciler.agent.orders_file import OrdersFile

            self._orders = OrdersFile(self.node, self.node.watchdog, self.store)
        return self._orders

    @property
    def changes(self) -> ChangeConfirmation:
        """The newest change that could cut this controller off."""
        from reconciler.agent.change_confirmation import ChangeConfirmation

        return ChangeConfirmation(self)

    @property
    def mirror(self) -> Mirror:
        """The bare mirror of the source."""
        if self._mirror is None:
            from reconciler.system.git.mirror import Mirror

            self._mirror = Mirror(self.store.mirror)
        return self._mirror

    @property
    def peer(self) -> PeerClient | None:
        """The other controller's agent; None on a pair that is not enrolled.

        A client whose requests are all refused, with the reason, when the Pair names other machines. Raises StateError
        when the identity cannot be read.
        """
        from reconciler.system.peer.identity import load_identity

        identity = load_identity(self.node)
        if identity is None:
            return None
        from reconciler.agent.peer_paths import pair_refusal, peer_addresses
        from reconciler.system.peer.channel import PeerClient

        addresses = peer_addresses(self, identity)
        if self._peer is None or (self._peer.identity, self._peer.addresses) != (identity, addresses):
            self._peer = PeerClient(identity, addresses, self.node.peer.port, lambda: pair_refusal(self, identity))
        return self._peer

    def pair_names(self) -> PairNames | None:
        """The Pair of the newest revision; None before the first one."""
        from reconciler.agent.peer_paths import settings_in_force

        settings = settings_in_force(self)
        return settings[-1].pair if settings else None

    def rotate_certificates(self) -> None:
        """Give both controllers new keys of the channel. Raises PeerError; repeating it goes on."""
        from reconciler.agent.rotation_lead import rotate_certificates

        rotate_certificates(self)

    def rotate_secret(self) -> str:
        """Change the heartbeat secret on both controllers. Returns its fingerprint. Raises PeerError, UsageError."""
        from reconciler.agent.rotation_lead import rotate_secret

        return rotate_secret(self)

    def finish_enrolment(self) -> EnrolmentRemains:
        """Finish an enrolment that was cut, if the peer says that it is in force there. See `EnrolmentRemains`."""
        from reconciler.agent.enrolment_recovery import finish_enrolment

        return finish_enrolment(self)

    @property
    def pair_repositories(self) -> PairRepositories:
        """The repositories that the two controllers host. Raises NodeFileError on a node without [push]."""
        from reconciler.agent.push.peer_pushes import repositories_of
        from reconciler.errors import NodeFileError

        if self.node.push is None:
            raise NodeFileError(
                "this controller hosts no repository: the node file has no [push]",
                where=str(self.node.path),
                remedy="`hagit explain node` describes the table; where a remote is followed, there is nothing to sync",
            )
        return repositories_of(self, self.node.push)

    def select(self) -> Selection:
        """Follow the source. Reads only small files when the branch of a local repository has not moved."""
        from reconciler.agent.source.local_head import unchanged_selection

        selection = unchanged_selection(self.node, self.store)
        if selection is None:
            from reconciler.agent.source.relay import peer_relay
            from reconciler.agent.source.selector import select_revision

            selection = select_revision(self.node, self.store, self.mirror, peer_relay(lambda: self.peer))
        if selection.revision is not None and selection.content is not None:
            self._keep(selection.revision, selection.content)
        return selection

    def last_selection(self) -> Selection:
        """The selection of the last run, to use before the source answers.

        The source may be reachable only through the network that this revision configures.
        """
        from reconciler.agent.source.selection import Selection

        accepted = self.store.accepted()
        if accepted.wanted is not None:
            with contextlib.suppress(HagitError):
                return Selection(accepted.wanted, self.content_for(accepted.wanted), source_answered=False)
        return Selection(source_answered=False)

    def content_for(self, revision: Revision) -> Content:
        """The content of a revision that is in the mirror."""
        content = self._contents.get((revision.commit, revision.folder))
        if content is None:
            content = cached_content(self.store, revision.commit, self.node.controller, revision.folder)
        if content is None:
            from reconciler.agent.source.selector import load_content

            content = load_content(self.node, self.store, self.mirror, revision.commit, revision.folder)
        self._keep(revision, content)
        return content

    def _keep(self, revision: Revision, content: Content) -> None:
        """Keep a content for the next question about it, at most `CONTENTS_MAX` of them."""
        self._contents.pop((revision.commit, revision.folder), None)
        self._contents[revision.commit, revision.folder] = content
        while len(self._contents) > CONTENTS_MAX:
            del self._contents[next(iter(self._contents))]

    def configuration_for(self, revision: Revision) -> Configuration:
        """The resources of a revision that is in the mirror. Raises HagitError."""
        from reconciler.agent.source.pair_folder import pair_folder
        from reconciler.core.spec import load
        from reconciler.system.git.folder import read_folder

        return load(read_folder(self.mirror, revision.commit, pair_folder(revision.folder)), revision.folder)

    def newest_state(self) -> str:
        """The commit to which the state of the followed head goes back. Raises SourceError."""
        accepted = self.store.accepted()
        if not accepted.folder:
            return accepted.head
        from reconciler.agent.source.pair_folder import pair_folder
        from reconciler.system.git.folder import newest_change

        return newest_change(self.mirror, accepted.head, pair_folder(accepted.folder))

    def blame_lookup(self, commit: str) -> Callable[[Origin], Blame | None]:
        """A function that finds commit and author of a line in the files of `commit`.

        Loads nothing before its first call.
        """

        def blame_of(origin: Origin) -> Blame | None:
            if self._blamer is None or self._blamer[0] != commit:
                from reconciler.agent.source.blame import Blamer

                self._blamer = commit, Blamer(self.store, lambda: self.mirror, commit)
            return self._blamer[1](origin)

        return blame_of

    @property
    def agent_runs(self) -> bool:
        """Whether an agent runs: it holds its lock for as long as it lives."""
        return holder_of(self.store.root / "agent.lock") is not None

    def notify_agent(self) -> None:
        """Make a running agent poll the source now (SIGHUP to the holder of its lock)."""
        hang_up_holder(self.store.root / "agent.lock")

    def find_revision(self, commit: str) -> Revision:
        """The revision of a commit id or its beginning, when it may be used here (`agent/source/admission`).

        Raises SourceError.
        """
        from reconciler.agent.source.admission import admit_commit

        return admit_commit(self.node, self.store, self.mirror, commit)

    def directory_content(self, directory: Path) -> Content:
        """The content of uncommitted files in a directory, the root of the repository. Raises ConfigurationError."""
        from reconciler.agent.source.content import compile_content
        from reconciler.agent.source.pair_folder import pair_folder
        from reconciler.system.git.folder import read_folder_directory

        folder = self.node.source.path
        return compile_content(read_folder_directory(directory, pair_folder(folder)), self.node.controller, folder)

    def unsigned_warning(self) -> NodeFileError | None:
        """The warning that unsigned commits are followed here, or None."""
        from reconciler.agent.source.unsigned_commits import unsigned_warning

        return unsigned_warning(self.node, self.store.accepted())

    def accept_history(self, commit: str) -> Revision:
        """Accept a commit as the tip of the branch, whatever came before it. Raises SourceError."""
        from reconciler.agent.source.selector import accept_history

        return accept_history(self.node, self.store, self.mirror, commit)

    def suspend(self, since_s: float, until_s: float, reason: str) -> None:
        """Keep the agent from applying until a time (wall clock). Raises StateError."""
        from reconciler.agent.store import Suspension

        self.store.suspend(Suspension(since_s, until_s, reason))
        self.store.log_decision("suspended", until_s=until_s, reason=reason)

    def resume_applying(self) -> bool:
        """End a suspension; False when there was none. Raises StateError."""
        was = self.store.suspension() is not None
        self.store.suspend(None)
        if was:
            self.store.log_decision("resumed applying")
        return was

    def resume_interrupted(self) -> None:
        """Finish the stamps of an apply that was cut off. Called before a plan is made. Raises HagitError."""
        from reconciler.agent.apply import resume_interrupted

        resume_interrupted(self.store, self.host)

    def propose(self, revision: Revision, content: Content, orders: tuple[OrdersChange, ...] = ()) -> Plan:
        """The plan that makes this controller what `content` says. Observes the kernel and the pools.

        `orders`: the changes of the watchdog's orders that are published with it. Raises ObservationError.
        """
        from reconciler.agent.apply import propose

        blame = self.blame_lookup(revision.commit) if revision.commit != UNCOMMITTED else None
        self.host.select_storage(content.keys())
        return propose(content, revision.full_name, self.host.observe(), blame, orders)

    def name_notes(self, content: Content) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What `content` changes about the published name of the pair, and what this controller lacks for it."""
        from reconciler.core.facts.virtual_name import VirtualName

        applied = self.store.applied()
        before = VirtualName()
        if applied is not None:
            last = applied.revision
            known = cached_content(self.store, last.commit, self.node.controller, last.folder)
            before = known.settings.virtual_name if known is not None else before
        if before == content.settings.virtual_name == VirtualName():
            return (), ()
        from reconciler.agent.name_plan import changed_names, name_warnings

        return changed_names(before, content), tuple(name_warnings(self.node, content))

    def apply(
        self,
        plan: Plan,
        revision: Revision,
        *,
        what: str,
        content: Content | None = None,
        begin: Callable[[], None] | None = None,
        progress: Progress | None = None,
        within_s: float | None = None,
    ) -> ApplyOutcome:
        """Carry out a plan for the operator, guarded (`agent/change_guard`). See `apply_plan`.

        `what`: word for the history, where uncommitted files never appear. `within_s`: the operator has to confirm
        within this time.
        """
        from reconciler.agent.apply import apply_plan
        from reconciler.agent.change_guard import ConfirmedChange

        record_as = what if revision.commit != UNCOMMITTED else ""
        return apply_plan(
            self.store,
            self.host,
            plan,
            revision,
            purpose="hagit apply",
            record_as=record_as,
            begin=begin,
            progress=progress,
            guard=ConfirmedChange(self, revision, content, within_s),
        )
