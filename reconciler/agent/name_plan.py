"""What a revision changes about the published name of the pair, and what this controller lacks for it, for a plan."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.agent.source.content import Content
from reconciler.core.facts.virtual_name import VirtualName, name_changes
from reconciler.errors import NodeFileError, PublicationError
from reconciler.system.names.avahi import require_installed
from reconciler.system.names.tsig_keys import read_tsig_key
from reconciler.system.node import Node


def changed_names(before: VirtualName, content: Content) -> tuple[str, ...]:
    """A sentence for each change against the name of the revision that was applied last."""
    return tuple(name_changes(before, content.settings.virtual_name))


def name_warnings(node: Node, content: Content) -> Iterator[str]:
    """A sentence for each thing that keeps this controller from publishing the name."""
    wanted = content.settings.virtual_name
    if wanted != VirtualName() and node.watchdog is None:
        yield (
            "the node file has no [watchdog], so this controller is never active and publishes no name; see "
            "`hagit explain node`"
        )
    if wanted.dns is not None:
        try:
            read_tsig_key(node, wanted.dns.key, wanted.dns.server)
        except NodeFileError as error:
            way_out = f"; {error.remedy}" if error.remedy else ""
            yield f"this controller cannot write {wanted.dns.name} to DNS: {error.where}: {error.what}{way_out}"
    if wanted.mdns is not None:
        try:
            require_installed()
        except PublicationError as error:
            yield f"this controller cannot announce {wanted.mdns.name}: {error.what}; run: {error.remedy}"
