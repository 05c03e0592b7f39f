"""`make lab-shell`: boot the machine of the tests and connect to its console. `exit` does not end it; Ctrl-a x does.

python -m tests.lab.shell
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.lab.image import ImageError, image
from tests.lab.machine import CROSSED_NICS, Machine, MachineError, project_shares


def main() -> int:
    """Run until the person ends the machine. Needs a terminal."""
    try:
        built = image(progress=lambda text: print(text, file=sys.stderr, flush=True))
        with tempfile.TemporaryDirectory(prefix="hagit-lab-") as directory:
            machine = Machine(built, Path(directory), nics=CROSSED_NICS, shares=project_shares(), shell=True)
            with machine:
                print(f"\nlab: Linux {built.release}; eth0, eth1 face eth2, eth3; end with Ctrl-a x\r", flush=True)
                os.waitpid(machine.pid, 0)
    except (ImageError, MachineError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
