"""How `hagit enroll` finds the other controller and proves the code: the host shows one, the joiner is told it.

The host waits ten minutes and takes three wrong guesses. The joiner tries each machine that answers, because a third
one may answer first.
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.cli.terminal import ask_word
from reconciler.errors import PeerError, PeerErrorCode, UsageError
from reconciler.system.clock import monotonic_s
from reconciler.system.network_links import interlinks, link_local_addresses
from reconciler.system.peer.code_exchange import (
    Exchange,
    Judge,
    OwnCredentials,
    WrongCode,
    host_exchange,
    join_exchange,
)
from reconciler.system.peer.rendezvous import Meeting, connect, hosts_on

CODE_DIGITS: Final = 8
CODE_S_MAX: Final = 600.0
GUESSES_MAX: Final = 3
#: How long a controller looks for one that shows a code already.
LOOK_S: Final = 1.5
#: How long a joiner looks for the host.
SEARCH_S: Final = 10.0
CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where the other controller is looked for. `port`: of the agents. `to`: one address. `link`: on one link only.

    With neither: on the interlinks, or, before a revision has marked some, on all links.
    """

    port: int
    to: str = ""
    link: str = ""

    def links(self) -> Sequence[str]:
        """The links to look on."""
        if self.link:
            return (self.link,)
        return interlinks() or tuple(dict.fromkeys(address.partition("%")[2] for address in link_local_addresses()))

    @property
    def meeting_port(self) -> int:
        """TCP and UDP port of an enrolment: the one after that of the agents."""
        return self.port + 1


def new_code() -> str:
    """A code of eight digits."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"


def read_code(text: str) -> str:
    """The digits of a code as a person types it. Raises UsageError."""
    code = re.sub(r"[\s-]", "", text)
    if not (len(code) == CODE_DIGITS and code.isascii() and code.isdigit()):
        raise UsageError(
            "this is no code",
            remedy=f"a code has {CODE_DIGITS} digits; `hagit enroll` on the other controller shows it",
        )
    return code


def host_is_near(places: Places) -> bool:
    """Whether a machine on the links, or at the address, waits for a joiner. Takes at most `LOOK_S`."""
    return bool(places.to) or any(True for _ in hosts_on(places.links, places.meeting_port, monotonic_s() + LOOK_S))


def wait_for_joiner(places: Places, own: OwnCredentials, judge: Judge) -> Exchange:
    """Show a code, and wait until a machine proves that it knows it. Raises PeerError."""
    code, guesses, end_s = new_code(), GUESSES_MAX, monotonic_s() + CODE_S_MAX
    meeting = Meeting(places.meeting_port, places.link)
    try:
        minutes = round(CODE_S_MAX / 60)
        print(f"Code: {code[:4]} {code[4:]}   (valid for {minutes} minutes and {GUESSES_MAX} tries)")
        print("On the other controller run `hagit enroll` and type it there.", flush=True)
        while guesses and (sock := meeting.joiner(end_s)) is not None:
            try:
                return host_exchange(sock, code, own, judge)
            except WrongCode as error:
                guesses -= 1
                print(f"hagit: a wrong code from {error.where}; {guesses} tries are left", file=sys.stderr)
            except PeerError as error:
                # A machine that is not the other controller, or not yet: the code stays valid.
                print(f"hagit: {error}", file=sys.stderr)
            except OSError:
                continue
    finally:
        meeting.close()
    if guesses:
        raise PeerError(PeerErrorCode.UNREACHABLE, "no controller came in ten minutes", remedy="run hagit enroll again")
    raise PeerError(
        PeerErrorCode.REFUSED,
        "the code is used up: three wrong guesses",
        remedy="if you did not mistype it, another machine on this link guesses: find it first; then run hagit enroll",
    )


def join_host(places: Places, code: str, own: OwnCredentials, judge: Judge) -> Exchange:
    """Prove the code to the machine that shows it, whichever of those that answer it is. Raises PeerError."""
    port = places.meeting_port
    found: Iterable[str] = [places.to] if places.to else hosts_on(places.links, port, monotonic_s() + SEARCH_S)
    exchange = join_any(found, port, code, own, judge)
    if exchange is not None:
        return exchange
    raise PeerError(
        PeerErrorCode.UNREACHABLE,
        f"no controller that shows a code was found on {', '.join(places.links()) or 'any link: none is up'}",
        remedy="run hagit enroll there first; or name its address here: --to ADDRESS; or use files: --offer, --file",
    )


def join_any(found: Iterable[str], port: int, code: str, own: OwnCredentials, judge: Judge) -> Exchange | None:
    """Prove the code to the first of these machines that knows it; None without any machine. Raises PeerError.

    A machine that does not know the code gets one guess. After three such machines this controller stops.
    """
    wrong, problems = 0, list[PeerError]()
    for address in found:
        try:
            return join_exchange(connect(address, port, CONNECT_S), code, own, judge)
        except WrongCode as error:
            wrong += 1
            problems.append(error)
            if wrong == GUESSES_MAX:
                break
        except PeerError as error:
            problems.append(error)
        except OSError as error:
            problems.append(PeerError(PeerErrorCode.UNREACHABLE, f"it does not answer: {error}", address))
    if wrong:
        where = ", ".join(error.where for error in problems if isinstance(error, WrongCode))
        raise PeerError(
            PeerErrorCode.REFUSED,
            "the code does not fit",
            where,
            "compare it with the code that the other controller shows now, and that this is its address",
        )
    if problems:
        raise problems[0]
    return None


def ask_code() -> str:
    """Ask the person for the code. Raises UsageError."""
    return read_code(ask_word("Code that the other controller shows: "))
