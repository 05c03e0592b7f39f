"""Commands that talk to the watchdog: switchover, failover, force-activate, maintenance, power, drill, timeline.

Exit status of all that ask for something: 0 done, 1 refused or failed, 2 a command line that makes no sense, 3 accepted
but not done within the time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption, YesOption


class Word(StrEnum):
    """What failover is to be."""

    DISABLE = "disable"
    ENABLE = "enable"


class PowerWord(StrEnum):
    """What the power switch of the other controller is asked."""

    STATUS = "status"
    OFF = "off"
    ON = "on"


class SecretWord(StrEnum):
    """A step in changing the secret of the pair."""

    STATUS = "status"
    NEW = "new"
    IMPORT = "import"
    USE = "use"
    DROP = "drop"


TimeoutOption = Annotated[
    str | None,
    typer.Option("--timeout", help="How long to wait until it is done: 30s, 2m. Else the bound.", metavar="TIME"),
]


def switchover(
    plan: Annotated[bool, typer.Option("--plan", help="Say what would happen, and do nothing.")] = False,
    timeout: TimeoutOption = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Hand over to the other controller. Run it on the active one; nothing reboots.

    Says how long clients will wait: what the last ones took, and the bound of the
    orders. Exit status 0: done (--plan: it would be followed), 1: refused, with
    every reason, or failed, 3: not done in time.

    \b
    Example:  hagit switchover --plan
              hagit switchover
    """
    from reconciler.cli.switchover import run_switchover

    return run_switchover(node, output is Output.JSON, plan=plan, timeout=timeout)


def failover(
    what: Annotated[Word, typer.Argument(help="Whether the pair may fail over.")],
    last: Annotated[
        str | None, typer.Option("--for", help="Only here, for so long, with an alert: 30m, 2h.", metavar="TIME")
    ] = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Disable or enable failover: by a commit, or here for a while with --for.

    Without --for nothing is changed: it shows the line of YAML to commit, because
    both controllers have to know (exit status 1). `enable` ends a --for early.

    \b
    Example:  hagit failover disable
              hagit failover disable --for 2h
              hagit failover enable
    """
    from reconciler.cli.failover import run_failover

    return run_failover(node, output is Output.JSON, enable=what is Word.ENABLE, last=last)


def force_activate(
    word: Annotated[
        str | None, typer.Option("--word", help="The name of this controller, for scripts.", metavar="NAME")
    ] = None,
    timeout: TimeoutOption = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Make this controller active, whatever the policy says. Cuts the other one off.

    Says exactly what it overrides, and asks for the name of this controller. The
    disks still decide: without enough of them nothing is claimed. Exit status 0:
    active, 1: refused or failed, 3: not done in time.

    \b
    Example:  hagit force-activate
              hagit force-activate --word storage-a
    """
    from reconciler.cli.switchover import run_force

    return run_force(node, output is Output.JSON, word=word, timeout=timeout)


def maintenance(
    last: Annotated[
        str | None, typer.Option("--for", help="How long: 30m (when not given), 2h.", metavar="TIME")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="End it, and a stay after too many resets.")] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Keep this controller from moving by itself for a time. It alerts for as long.

    A switchover that a person asks for is still followed. Exit status 0: done, 1:
    refused.

    \b
    Example:  hagit maintenance --for 30m
              hagit maintenance --end
    """
    from reconciler.cli.failover import run_maintenance

    return run_maintenance(node, output is Output.JSON, last=last, end=end)


def secret(
    what: Annotated[SecretWord, typer.Argument(help="Which step.")] = SecretWord.STATUS,
    file: Annotated[str | None, typer.Argument(help="With import: a file, or - for standard input.")] = None,
    without_peer: Annotated[
        bool, typer.Option("--without-peer", help="The other controller is off, and cannot say what it accepts.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Change the secret that both controllers share, without a gap.

    new: make one here, accepted and not used yet. import: accept what the other
    controller made. use: seal with it; the old one is still accepted. drop: accept
    the old one no more, or give up a new one. Each step is refused while one
    controller would not understand the other. No secret is ever shown.

    \b
    Example:  hagit secret new
              ssh root@other hagit secret import - < /etc/hagit/pair.secret.next
              hagit secret use        (on both, one after the other)
              hagit secret drop       (on both)
    """
    from reconciler.cli.secret import run_secret

    return run_secret(node, output is Output.JSON, step=what.value, file=file, without_peer=without_peer)


def timeline(
    count: Annotated[int, typer.Option("--count", "-n", help="How many of each, newest last.", min=1)] = 20,
    failovers: Annotated[bool, typer.Option("--failovers", help="Only failovers, without single events.")] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Every failover, with the milliseconds of its parts, and single events.

    \b
    Example:  hagit timeline
              hagit timeline --failovers -n 5 -o json
    """
    from reconciler.cli.timeline import run_timeline

    return run_timeline(node, count, output is Output.JSON, failovers=failovers)


def power(
    what: Annotated[PowerWord, typer.Argument(help="What the power switch of the other controller is asked.")],
    word: Annotated[
        str | None, typer.Option("--word", help="The name of the other controller, for scripts.", metavar="NAME")
    ] = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Ask or switch the power of the other controller, where that is configured.

    `status` changes nothing and shows that it would work. `off` asks for the name
    of the other controller; once it is proven to be off, this one takes over what
    the other one served. Exit status 0: done, 1: refused or failed, 3: not done in
    time.

    \b
    Example:  hagit power status
              hagit power off --word storage-b
    """
    from reconciler.cli.power import run_power

    return run_power(node, output is Output.JSON, deed=what.value, word=word)


def drill(
    yes: YesOption = False,
    peer: Annotated[
        str | None,
        typer.Option("--peer", help="A command that runs hagit on the other controller.", metavar="COMMAND"),
    ] = None,
    timeout: TimeoutOption = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Switch over to the other controller and back, when all is well, and measure.

    Refuses while any reason stands. What clients waited is kept in the timeline
    beside what was predicted. Without --peer a person asks for the way back on
    the other one. Exit status 0: there and back, 1: refused or failed, 3: not done
    in time.

    \b
    Example:  hagit drill
              hagit drill --yes --peer "ssh storage-b hagit"
    """
    from reconciler.cli.switchover import run_drill

    return run_drill(node, output is Output.JSON, yes=yes, peer=peer, timeout=timeout)
