"""What judges the next commits: the stricter of the node file and the Source resource in force.

Decides which remotes are asked and whose signatures count. It fetches and verifies nothing (`agent/follow`).
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.agent.store import Accepted
from reconciler.agent.unsigned import unsigned_policy
from reconciler.core.facts.settings import Signing, source_from_document
from reconciler.system.git.remote import Access, Remote
from reconciler.system.node import Node
from reconciler.system.signatures import Trust


@dataclass(frozen=True, slots=True)
class Policy:
    """What judges the next range: the Source resource in force, bounded by the node file."""

    remotes: tuple[Remote, ...]
    branch: str
    signers: tuple[str, ...]
    unsigned: Signing
    trust: Trust


def policy_of(node: Node, accepted: Accepted) -> Policy:
    """The policy in force on this controller."""
    source = source_from_document(accepted.policy)
    urls = dict.fromkeys((*(source.remotes if source else ()), *node.source.remotes))
    access = Access(node.source.key, node.source.known_hosts, node.source.certificate_authorities, node.source.token)
    return Policy(
        remotes=tuple(Remote(url, access=access) for url in urls),
        branch=source.branch if source else node.source.branch,
        signers=source.trusted_signers if source else (),
        unsigned=unsigned_policy(node, accepted),
        trust=Trust(node.trust.allowed_signers, node.trust.revoked_keys, node.trust.keyring),
    )
