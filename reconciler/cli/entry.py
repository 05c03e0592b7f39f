"""The `hagit` command: answers the two cheapest questions by itself, starts the watchdog by itself, and hands
everything else to the application.

`--version` and shell completion run at every prompt and every TAB, so they must not pay for anything else's imports.
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
        # The daemon stays small: neither the application nor anything it imports comes into its process.
        from reconciler.watchdog.main import main as watchdog

        sys.exit(finish(watchdog(arguments[1:]), 1))
    # A command ends before there is any rubbish worth collecting; looking for it costs each start 15 ms.
    # The agent, which stays, turns it on again.
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
