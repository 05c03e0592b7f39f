"""The policy for commits without a trusted signature, and the warning where they are followed.

Without signatures, everyone who can push to the branch is root on both controllers. Plan, status and alerts show the
warning until the node file accepts this. Imports no git library, so that a plan of an unchanged commit is fast.
"""

from __future__ import annotations

from typing import Final

from reconciler.agent.store import AcceptedHistory
from reconciler.core.facts.settings import UnsignedPolicy, source_from_document
from reconciler.errors import NodeFileError
from reconciler.system.node import WITHOUT_WARNING, Node

_STRICTNESS: Final = (UnsignedPolicy.ACCEPT, UnsignedPolicy.WARN, UnsignedPolicy.REFUSE)


def unsigned_warning(node: Node, accepted: AcceptedHistory) -> NodeFileError | None:
    """The warning that commits need no signature; None where they need one, or where the node file accepts this."""
    if node.trust.without_warning or unsigned_policy(node, accepted) is UnsignedPolicy.REFUSE:
        return None
    return NodeFileError(
        "commits need no trusted signature here: everyone who can push to the branch is root on this controller",
        where=str(node.path),
        remedy="name whose signatures count in [trust], allowed_signers (`hagit explain node`); "
        f'if it is meant: unsigned = "{WITHOUT_WARNING}"',
    )


def unsigned_policy(node: Node, accepted: AcceptedHistory) -> UnsignedPolicy:
    """The policy for commits without a trusted signature: the stricter of node file and Source in force."""
    source = source_from_document(accepted.policy)
    floor = UnsignedPolicy(node.trust.unsigned)
    return max(floor, source.unsigned if source else floor, key=_STRICTNESS.index)


def trust_document(weak: NodeFileError | None) -> dict[str, str] | None:
    """The JSON form of the warning in a status."""
    return None if weak is None else {"what": weak.what, "where": weak.where, "remedy": weak.remedy}
