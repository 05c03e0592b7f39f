"""How large a desired state may be. A pair of controllers needs a hundredth of this; a larger one is a mistake.

Decides the bounds only; `text`, `tree` and `loader` keep to them.
"""

from __future__ import annotations

from typing import Final

#: One file, in bytes.
FILE_BYTES_MAX: Final = 1 << 20

#: All YAML files of a revision together, in bytes.
TREE_BYTES_MAX: Final = 4 << 20

#: Mappings and lists inside one another. The language itself needs six levels.
NESTING_MAX: Final = 64

#: Documents in all files together.
RESOURCES_MAX: Final = 10_000

#: Complaints that are reported at once. People read no more.
COMPLAINTS_MAX: Final = 1_000

#: Addresses of one interface on one controller.
ADDRESSES_MAX: Final = 256

#: resolv.conf(5): the C library reads the first three (MAXNS).
NAMESERVERS_MAX: Final = 3

#: resolv.conf(5): six search domains in older C libraries.
SEARCH_DOMAINS_MAX: Final = 6

#: Exports and targets together: what the sealed file of the shares can hold in one list (strict_json, ITEMS_MAX).
SHARES_MAX: Final = 4_096

#: Entries of clients of one export, and initiators of one target.
CLIENTS_MAX: Final = 1_024

#: Entries of clients, initiators and LUNs of all shares together.
SHARE_ENTRIES_MAX: Final = 16_384

#: Folders that one pair shares with others.
SHARED_MAX: Final = 16

#: Members of a list that names other things: remotes, signers, receivers, ports.
LIST_MAX: Final = 256
