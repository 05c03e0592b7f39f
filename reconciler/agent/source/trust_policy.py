"""The trust policy for the next commits: the stricter of the node file and the Source resource in force.

Decides which remotes are fetched and whose signatures count. `agent/source/selector` fetches and verifies.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from reconciler.agent.source.unsigned_commits import unsigned_policy
from reconciler.agent.store import AcceptedHistory
from reconciler.core.facts.scope import Scopes
from reconciler.core.facts.settings import UnsignedPolicy, source_from_document
from reconciler.system.git.remote import PORTS, Access, Remote, places_of
from reconciler.system.node import FirstSource, Node
from reconciler.system.signatures import TrustFiles


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """The policy for the next range of commits: the Source resource in force, limited by the node file.

    `scopes` None: every signer may change everything. `pair` and `floor` are those of [trust], `folder` is the
    path of [source].
    """

    remotes: tuple[Remote, ...]
    branch: str
    signers: tuple[str, ...]
    unsigned: UnsignedPolicy
    trust: TrustFiles
    scopes: Scopes | None = None
    pair: str = ""
    floor: str = ""
    folder: str = ""


def trust_policy_in_force(node: Node, accepted: AcceptedHistory) -> TrustPolicy:
    """The policy in force on this controller."""
    source = source_from_document(accepted.policy)
    urls = dict.fromkeys((*(source.remotes if source else ()), *node.source.remotes))
    if node.push is not None:
        # The pair is its own git host: one branch, which both controllers move together, and no other.
        urls = dict.fromkeys((str(node.push.repository),))
    first = node.source
    hosts = hosts_for_credentials(first)
    access = Access(first.key, first.known_hosts, first.certificate_authorities, first.token, hosts)
    return TrustPolicy(
        remotes=tuple(Remote(url, access=access) for url in urls),
        branch=source.branch if source else node.source.branch,
        signers=source.trusted_signers if source else (),
        unsigned=unsigned_policy(node, accepted),
        trust=TrustFiles(node.trust.allowed_signers, node.trust.revoked_keys, node.trust.keyring),
        scopes=node.trust.scopes,
        pair=node.trust.pair,
        floor=node.trust.floor,
        folder=node.source.path,
    )


def trust_digest(node: Node) -> str:
    """What decides whose commits count, as 16 hexadecimal digits: equal on two controllers that trust alike.

    Covers the contents of the files of [trust], `unsigned` and the scopes. Raises NodeFileError for a file that is
    missing or open to others.
    """
    trust = node.trust
    files = TrustFiles(trust.allowed_signers, trust.revoked_keys, trust.keyring).digest()
    scopes = trust.scopes.spelled() if trust.scopes is not None else ""
    return hashlib.sha256(repr((files, trust.unsigned, scopes)).encode()).hexdigest()[:16]


def hosts_for_credentials(first: FirstSource) -> frozenset[str]:
    """Hosts for which the key and token of the node file may be used: its `hosts`, else those of its remotes."""
    if not first.hosts:
        return places_of(first.remotes)
    return frozenset(
        name if re.search(r":[0-9]+$", name) else f"{name}:{port}" for name in first.hosts for port in PORTS.values()
    )
