"""What happens to commits that nobody trusted has signed, and the warning that stands where they are followed.

Without signatures whoever can push to the branch is root on both controllers. The warning stands in plan, status and
alerts until the node file says that it is meant. Imports no git library, so that a plan of an unchanged commit is fast.
"""

from __future__ import annotations

from typing import Final

from reconciler.agent.store import Accepted
from reconciler.core.facts.settings import Signing, source_from_document
from reconciler.errors import NodeFileError
from reconciler.system.node import WITHOUT_WARNING, Node

_STRICTNESS: Final = (Signing.ACCEPT, Signing.WARN, Signing.REFUSE)


def unsigned_warning(node: Node, accepted: Accepted) -> NodeFileError | None:
    """The standing warning that commits need no signature here; None where they do, or where that is wanted."""
    if node.trust.without_warning or unsigned_policy(node, accepted) is Signing.REFUSE:
        return None
    return NodeFileError(
        "commits need no trusted signature here: whoever can push to the branch is root on this controller",
        where=str(node.path),
        remedy="name whose signatures count in [trust], allowed_signers (`hagit explain node`); "
        f'if it is meant: unsigned = "{WITHOUT_WARNING}"',
    )


def unsigned_policy(node: Node, accepted: Accepted) -> Signing:
    """What happens to a commit that nobody trusted has signed: the stricter of node file and Source in force."""
    source = source_from_document(accepted.policy)
    floor = Signing(node.trust.unsigned)
    return max(floor, source.unsigned if source else floor, key=_STRICTNESS.index)


def trust_document(weak: NodeFileError | None) -> dict[str, str] | None:
    """The JSON form of the warning in a status."""
    return None if weak is None else {"what": weak.what, "where": weak.where, "remedy": weak.remedy}
