"""One fence agent run once: options on its standard input, its exit status and words as a value.

The language is FenceAgentAPI.md of ClusterLabs/fence-agents: lines `name=value` on standard input, `action` among them;
`status` ends with 0 for on and 2 for off, and prints `Status: ON` or `Status: OFF`; `off` and `on` end with 0 when it
is done. An agent may be wrong about its own work (the manual of fence_ipmilan says so of itself), so `cut` believes
only what a `status` says afterwards, and only when its exit status and its words agree.

Decides what counts as off. Does not know who is asked for, nor what follows. No secret is in an argument, in the
environment or in a result: what an agent says is searched for it.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.power.options import LOCAL, unfit_agent, unfit_name, unfit_value
from reconciler.core.power.plan import PowerAction, PowerState
from reconciler.core.power.secret_scope import withheld
from reconciler.errors import NodeFileError
from reconciler.system.ownership import exposed
from reconciler.system.power.credentials import read_credential
from reconciler.system.power.secret_wrappers import wrap_secrets
from reconciler.system.process import Finished, Missing, TimedOut, run

#: Where Debian puts agents, and what they start.
SEARCHED: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
#: What an agent says of itself on standard error are its own complaints, and not those of its language.
ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": SEARCHED, "LANG": "C.UTF-8", "HOME": "/nonexistent", "PYTHONWARNINGS": "ignore",
}  # fmt: skip
OUTPUT_BYTES_MAX: Final = 1 << 16
WORDS_LENGTH_MAX: Final = 300
#: Given to `status` after a cut at the least, however long the cut took.
STATUS_S_MIN: Final = 1.0
#: Of the whole time, the part that a cut leaves to the `status` after it.
STATUS_PART: Final = 0.25
#: Exit statuses of `status`.
STATUS_CODES: Final[Mapping[int, PowerState]] = {0: PowerState.ON, 2: PowerState.OFF}
STATUS_WORDS: Final = re.compile(r"^\s*status\s*:\s*(on|off)\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FenceAgent:
    """An agent as it is configured: plain options, and options whose values are in files.

    `name` and `options` come from git. `program`: the agent of this name by the word of the node file, None for one of
    Debian's.
    """

    name: str
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, Path], ...] = ()
    program: Path | None = None
    #: Which agent and options the secrets are for, by the word of the node file (`core/power/secret_scope`).
    bound: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FenceResult:
    """What a run came to. `ok`: the deed is done, and seen to be done. `why`: in words, without secrets."""

    ok: bool
    power: PowerState
    why: str = ""


def perform(agent: FenceAgent, deed: PowerAction, timeout_s: float) -> FenceResult:
    """Do one thing within the time; what comes back says what is certain. Never raises."""
    end_s = time.monotonic() + timeout_s
    match deed:
        case PowerAction.STATUS:
            return _status(agent, timeout_s)
        case PowerAction.OFF:
            return _cut(agent, end_s)
        case PowerAction.ON:
            return _run(agent, PowerAction.ON, timeout_s)


def _cut(agent: FenceAgent, end_s: float) -> FenceResult:
    left_s = end_s - time.monotonic()
    done = _run(agent, PowerAction.OFF, max(0.0, left_s - max(STATUS_S_MIN, left_s * STATUS_PART)))
    # Whatever it said: it may have failed late, or have been asked to switch off what is off.
    seen = _status(agent, max(STATUS_S_MIN, end_s - time.monotonic()))
    if seen.power is PowerState.OFF:
        return FenceResult(True, PowerState.OFF, "" if done.ok else f"`off` failed ({done.why}), and yet it is off")
    if not done.ok:
        return FenceResult(False, seen.power, done.why)
    if seen.power is PowerState.ON:
        return FenceResult(False, PowerState.ON, "`off` said that it is done, and `status` says that the power is on")
    return FenceResult(
        False, PowerState.UNKNOWN, f"`off` said that it is done, and `status` does not confirm it: {seen.why}"
    )


def _status(agent: FenceAgent, timeout_s: float) -> FenceResult:
    status = _run(agent, PowerAction.STATUS, timeout_s)
    return FenceResult(status.power is not PowerState.UNKNOWN, status.power, status.why)


def _run(agent: FenceAgent, deed: PowerAction, timeout_s: float) -> FenceResult:
    unfit = _unfit(agent)
    if unfit:
        return FenceResult(False, PowerState.UNKNOWN, unfit)
    if agent.secrets and (why := withheld(agent.name, agent.options, dict(agent.bound))):
        return FenceResult(False, PowerState.UNKNOWN, why)
    try:
        secrets = {name: (path, read_credential(path)) for name, path in agent.secrets}
    except NodeFileError as error:
        return FenceResult(False, PowerState.UNKNOWN, f"{error.where}: {error.what}")
    hidden = [secret for _, secret in secrets.values()]
    program = agent.name if agent.program is None else str(agent.program)
    with wrap_secrets(Path(program).name, secrets) as (wrapped, environment):
        options = {**dict(agent.options), **wrapped, "action": deed.value}
        given = "".join(f"{name}={value}\n" for name, value in options.items())
        # The agent ends with the process that runs it, even if that one is killed.
        argv = ["setpriv", "--pdeathsig", "KILL", "--", program]
        settings = {**ENVIRONMENT, **environment}
        outcome = run(argv, stdin=given.encode(), timeout_s=timeout_s, env=settings, output_bytes_max=OUTPUT_BYTES_MAX)
    match outcome:
        case Missing(program, why):
            return FenceResult(False, PowerState.UNKNOWN, f"{program} cannot be started: {why}")
        case TimedOut():
            said = _words(outcome.stderr, hidden)
            return FenceResult(
                False, PowerState.UNKNOWN, f"`{deed}` took longer than {timeout_s:.1f} s" + (said and f": {said}")
            )
        case Finished(code, stdout, stderr):
            said = _words(stderr or stdout, hidden)
            if deed is PowerAction.STATUS:
                return _read_status(code, stdout, said)
            why = f"`{deed}` ended with {code}" + (said and f": {said}")
            return FenceResult(code == 0, PowerState.UNKNOWN, "" if code == 0 else why)


def _read_status(code: int, stdout: bytes, said: str) -> FenceResult:
    """An exit status of 2 alone could also be that of an interpreter that found no program."""
    words = {word.lower() for word in STATUS_WORDS.findall(stdout.decode(errors="replace"))}
    power = STATUS_CODES.get(code, PowerState.UNKNOWN)
    if words == {power.value}:
        return FenceResult(True, power)
    why = f"`status` ended with {code}" + (f": {said}" if said else " and said nothing")
    return FenceResult(False, PowerState.UNKNOWN, why)


def _words(said: bytes, hidden: Sequence[str]) -> str:
    """The last lines of what an agent said, short and printable, and without what it was told in confidence."""
    text = said.decode(errors="replace")
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "***")
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "?" for sign in line)[-WORDS_LENGTH_MAX:]


def _unfit(agent: FenceAgent) -> str:
    """Why an agent is not run as root with these options; "" when it is.

    The compiler and the reader of the plan have looked at the same already. This is the last place before a shell.
    """
    for name, value in agent.options:
        if why := unfit_name(agent.name, name) or unfit_value(name, value):
            return f"an option of {agent.name} is not given to it: `{name}` {why}"
    if agent.program is None:
        if why := unfit_agent(agent.name):
            return f"`{agent.name}` {why}"
        if LOCAL.fullmatch(agent.name):
            return f"[fence_agents] of the node file does not say which program {agent.name} is"
        places = (Path(directory) / agent.name for directory in SEARCHED.split(":"))
        found = any(place.exists() for place in places)
        return "" if found else f"{agent.name} is not installed: apt install fence-agents"
    try:
        status = agent.program.stat()
    except OSError as error:
        return f"{agent.program}: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return f"{agent.program} is no file"
    why = exposed(agent.program)
    return f"{agent.program} is run as root, and others than root may change it: {why}" if why else ""
