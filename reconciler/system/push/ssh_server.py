"""The SSH server of the pair: prepares what sshd(8) reads, and becomes sshd.

`python -m reconciler.system.push.ssh_server` is what its unit starts. A node without [push] has none: the program ends
at once, successfully. It does not wait for the agent: keys that were listed before work, and a fetch needs no agent.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from reconciler.errors import HagitError
from reconciler.system.node import find_node_file, load_node
from reconciler.system.push.sshd_files import exec_arguments, write_sshd_config

#: Where sshd(8) puts its child without privileges.
SEPARATION = Path("/run/sshd")


def main() -> int:
    """Become sshd; the exit status when that is not possible or not wanted."""
    try:
        node = load_node(find_node_file(None))
        if node.push is None:
            print("hagit: the node file has no [push]: this controller hosts no repository")
            return 0
        SEPARATION.mkdir(mode=0o755, exist_ok=True)
        arguments = exec_arguments(write_sshd_config(node, node.push))
        os.execv(arguments[0], arguments)
    except HagitError as error:
        print(f"hagit: {error}", file=sys.stderr)
    except OSError as error:
        print(f"hagit: sshd does not start: {error}; apt-get install openssh-server", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
