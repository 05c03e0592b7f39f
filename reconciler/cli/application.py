"""The commands of `hagit`: their options, help and examples. What they do is imported when they are called.

Exit status: 0 done, 1 an error, 2 a command line that makes no sense. `plan --detailed-exitcode` gives 0 nothing to
do, 1 error, 2 changes; `status --detailed-exitcode` 0 well, 1 error, 2 not well; `diff` and `drift` give 0 no
difference, 1 differences, 2 error, as diff(1) does. What asks the watchdog for something (`controlling`) gives 3 when
it was accepted and not done in time. When standard output cannot be written (a full disk, a closed descriptor) the
status is that of an error, so 2 of `diff` and `drift`. Whoever closes a pipe early has seen enough: the status stays,
except where 0 would be an answer (`diff`, `drift`, `--detailed-exitcode`): there it is that of an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from reconciler.cli import authoring, changing, controlling, daemon, rehearse, reserving, watching
from reconciler.cli.entry import DIFFERS
from reconciler.errors import HagitError
from reconciler.system.streams import trust_help

#: 128 and SIGINT, as shells say it.
INTERRUPTED = 130

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

COMMANDS: Sequence[tuple[str, Callable[..., Any], str]] = (
    ("init", authoring.init, "Start"),
    ("validate", authoring.validate, "Start"),
    ("explain", authoring.explain, "Start"),
    ("schema", authoring.schema, "Start"),
    ("capture", authoring.capture, "Start"),
    ("plan", changing.plan, "Change"),
    ("apply", changing.apply, "Change"),
    ("diff", changing.diff, "Change"),
    ("rollback", changing.rollback, "Change"),
    ("accept-history", changing.accept_history, "Change"),
    ("switchover", controlling.switchover, "Failover"),
    ("failover", controlling.failover, "Failover"),
    ("force-activate", controlling.force_activate, "Failover"),
    ("maintenance", controlling.maintenance, "Failover"),
    ("power", controlling.power, "Failover"),
    ("drill", controlling.drill, "Failover"),
    ("secret", controlling.secret, "Failover"),
    ("reservations", reserving.reservations, "Failover"),
    ("adopt", reserving.adopt, "Failover"),
    ("status", watching.status, "Watch"),
    ("timeline", controlling.timeline, "Watch"),
    ("drift", changing.drift, "Watch"),
    ("history", watching.history, "Watch"),
    ("decisions", watching.decisions, "Watch"),
    ("rehearse", rehearse.rehearse, "Watch"),
    ("agent", daemon.agent, "Run"),
    ("watchdog", daemon.watchdog, "Run"),
    ("completion", authoring.completion, "Run"),
)
for _name, _function, _panel in COMMANDS:
    app.command(_name, rich_help_panel=_panel)(_function)


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit status. Every error is one message on standard error."""
    command = arguments[0] if arguments else ""
    failed = 2 if command in DIFFERS else 1
    if not arguments or not {"-h", "--help"}.isdisjoint(arguments):
        trust_help()
    try:
        result = app(args=arguments, standalone_mode=False, prog_name="hagit")
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
        # What it means for the status is decided at the very end, where the rest of the output is written.
        return 0
    except Exception as error:
        shown = getattr(error, "show", None)
        if shown is None:
            raise
        trust_help()
        shown()
        return int(getattr(error, "exit_code", 2))
    if result == INTERRUPTED:
        # typer makes this status of a KeyboardInterrupt by itself.
        print("\nhagit: interrupted; nothing is half-done that `hagit apply` would not finish", file=sys.stderr)
    return result if isinstance(result, int) else 0
