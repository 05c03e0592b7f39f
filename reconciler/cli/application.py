"""The commands of `hagit`: finds the module of a command, runs it, and turns its end into an exit status.

Each command is a function of its own name in a module of `cli`, with its options, help and body. Only the module of
the command that was typed is imported, so a command pays for its own imports alone. The list of commands shows the
summaries that `completion.json` keeps.

Exit status: 0 done, 1 an error, 2 a wrong command line. `plan --detailed-exitcode` exits with 0 when there is nothing
to do, 1 after an error, 2 when there are changes; `status --detailed-exitcode` with 0 when all is well, 1 after an
error, 2 when something is not well; `diff` and `drift`, like diff(1), with 0 when nothing differs, 1 when something
does, 2 after an error. Commands that ask the watchdog for something exit with 3 when it accepted the request and did
not finish in time. When standard output cannot be written (a full disk, a closed descriptor), the status is that of an
error, so 2 of `diff` and `drift`. A reader that closes a pipe early has seen enough: the status stays. Where 0 would
be an answer (`diff`, `drift`, `--detailed-exitcode`), it becomes the status of an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import typer

from reconciler.cli.completion import summaries
from reconciler.cli.entry import DIFFERS
from reconciler.errors import HagitError
from reconciler.system.streams import trust_help

#: 128 and SIGINT, as shells say it.
INTERRUPTED = 130

#: Name of a command, the module of `cli` that holds it, and the panel of `hagit --help` that lists it.
COMMANDS: Final[Sequence[tuple[str, str, str]]] = (
    ("init", "init", "Start"),
    ("validate", "validate", "Start"),
    ("explain", "explain", "Start"),
    ("schema", "explain", "Start"),
    ("capture", "capture", "Start"),
    ("enroll", "enroll", "Start"),
    ("plan", "plan", "Change"),
    ("apply", "apply", "Change"),
    ("diff", "diff", "Change"),
    ("confirm", "confirm", "Change"),
    ("revert", "confirm", "Change"),
    ("rollback", "rollback", "Change"),
    ("suspend", "suspend", "Change"),
    ("resume", "suspend", "Change"),
    ("accept-history", "accept_history", "Change"),
    ("sync", "sync", "Change"),
    ("switchover", "switchover", "Failover"),
    ("failover", "failover", "Failover"),
    ("force-activate", "force_activate", "Failover"),
    ("maintenance", "maintenance", "Failover"),
    ("power", "power", "Failover"),
    ("drill", "drill", "Failover"),
    ("secret", "secret", "Failover"),
    ("reservations", "reservations", "Failover"),
    ("adopt", "adopt", "Failover"),
    ("status", "status", "Watch"),
    ("peer", "peer", "Watch"),
    ("timeline", "timeline", "Watch"),
    ("clients", "clients", "Watch"),
    ("drift", "diff", "Watch"),
    ("history", "history", "Watch"),
    ("decisions", "history", "Watch"),
    ("rehearse", "rehearse", "Watch"),
    ("agent", "daemon", "Run"),
    ("watchdog", "daemon", "Run"),
    ("backup", "backup", "Run"),
    ("restore", "restore", "Run"),
    ("completion", "completion_script", "Run"),
)


def command_function(name: str) -> Callable[..., Any]:
    """The function of a command, by its name in `COMMANDS`. Imports its module."""
    module = next(module for known, module, _ in COMMANDS if known == name)
    function: Callable[..., Any] = getattr(import_module(f"reconciler.cli.{module}"), name.replace("-", "_"))
    return function


def _application(called: str) -> typer.Typer:
    """All commands, of which only the one that is called has options and a body."""
    app = typer.Typer(
        name="hagit",
        help=(
            "High availability for Linux storage pairs, configured from git.\n\n"
            "Start with `hagit init`, then `hagit plan` and `hagit apply`. `--node FILE` before any command (or "
            "HAGIT_NODE) names the node file of this controller; `--version` prints the version."
        ),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    summary = summaries()
    for name, _, panel in COMMANDS:
        function = command_function(name) if name == called else _listed
        app.command(name, help=None if name == called else summary.get(name), rich_help_panel=panel)(function)
    return app


def _listed() -> None:
    """Stand in for a command that is only listed."""


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit status. Prints every error as one message on standard error."""
    command = arguments[0] if arguments else ""
    failed = 2 if command in DIFFERS else 1
    if not arguments or not {"-h", "--help"}.isdisjoint(arguments):
        trust_help()
    try:
        result = _application(command)(args=arguments, standalone_mode=False, prog_name="hagit")
    except HagitError as error:
        print(f"hagit: {error}", file=sys.stderr)
        return failed
    except typer.Exit as exit_:
        return exit_.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except OSError as error:
        if error is not getattr(sys.stdout, "failure", None):
            raise
        # `finish` writes the rest of the output and decides what this means for the exit status.
        return 0
    except Exception as error:
        shown = getattr(error, "show", None)
        if shown is None:
            raise
        trust_help()
        shown()
        return int(getattr(error, "exit_code", 2))
    if result == INTERRUPTED:
        # typer turns a KeyboardInterrupt into this status by itself.
        print("\nhagit: interrupted; nothing is half-done that `hagit apply` would not finish", file=sys.stderr)
    return result if isinstance(result, int) else 0
