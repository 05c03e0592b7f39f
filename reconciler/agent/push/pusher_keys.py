"""Whose SSH keys may push: those that the Source in force lists, and those of the signers whom this controller trusts.

Signers come from the files of the node file, so that the first push to an empty repository needs no commit. A key only
lets in: each commit is judged by its signature. Where unsigned commits are followed, a key that may push is root here.
"""

from __future__ import annotations

from reconciler.agent.store import AcceptedHistory
from reconciler.core.facts.settings import source_from_document
from reconciler.core.facts.ssh_public_key import SshPublicKey, allowed_signers, public_key
from reconciler.system.node import Node
from reconciler.system.signatures import trusted_text


def pusher_keys(node: Node, accepted: AcceptedHistory) -> tuple[SshPublicKey, ...]:
    """The keys that may push now. Raises NodeFileError when the file of signers cannot be used."""
    source = source_from_document(accepted.policy)
    listed = [public_key(line) for line in source.push_keys] if source is not None else []
    found = [key for key in listed if isinstance(key, SshPublicKey)]
    if node.trust.allowed_signers is not None:
        wanted = set(source.trusted_signers) if source is not None else set()
        for principals, key in allowed_signers(trusted_text(node.trust.allowed_signers)):
            names = {key.fingerprint, *principals.strip('"').split(",")}
            if not wanted or names & wanted:
                found.append(key)
    return tuple(found)
