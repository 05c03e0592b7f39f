"""The `hagit` command: answers `--version` and completion, starts the watchdog, and hands the rest to the application.

Completion runs at every TAB, so it must not wait for imports that it does not use. The process of the watchdog stays
small for the same reason: nothing of the application comes into it.
"""

from __future__ import annotations

import gc
import os
import sys

from reconciler import __version__
from reconciler.system.streams import finish, install

#: Commands whose error status is 2, because 1 means "there are differences".
DIFFERS = ("diff", "drift")


def main() -> None:
    """Run the command line in `sys.argv` and exit with its status."""
    arguments = sys.argv[1:]
    install()
    if arguments == ["--version"]:
        print(f"hagit {__version__}")
        sys.exit(finish(0, 1))
    if arguments[:1] == ["__complete"]:
        from reconciler.cli.completion import completions

        print("\n".join(completions(arguments[1:])))
        sys.exit(finish(0, 1))
    _take_node(arguments)
    if arguments[:1] == ["watchdog"]:
        from reconciler.watchdog.main import main as watchdog

        sys.exit(finish(watchdog(arguments[1:]), 1))
    # A command ends before there is garbage worth collecting, and collections cost each start 15 ms. The agent, which
    # keeps running, turns them on again.
    gc.disable()
    from reconciler.cli.application import run

    status = run(arguments)
    gc.freeze()
    is_answer = arguments[:1] in ([name] for name in DIFFERS)
    sys.exit(finish(status, 2 if is_answer else 1, asks=is_answer or "--detailed-exitcode" in arguments))


def _take_node(arguments: list[str]) -> None:
    """`hagit --node FILE COMMAND` means the same as HAGIT_NODE=FILE."""
    if arguments[:1] == ["--node"] and len(arguments) > 1:
        os.environ["HAGIT_NODE"] = arguments[1]
        del arguments[:2]
    elif arguments and arguments[0].startswith("--node="):
        os.environ["HAGIT_NODE"] = arguments.pop(0).partition("=")[2]


if __name__ == "__main__":
    main()
