"""`hagit enroll`: makes two controllers a pair that trusts each other, by a code that a person carries between them.

Asks and prints; `cli/enroll_code` finds the other controller, `system/peer` exchanges and stores, and the core
decides what may be kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.agent.session import Session
from reconciler.cli.enroll_code import (
    Places,
    ask_code,
    host_is_near,
    join_host,
    read_code,
    wait_for_joiner,
)
from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.terminal import confirmed, styled
from reconciler.core.peer.enrolment import EnrolmentOutcome, EnrolmentRole
from reconciler.core.peer.offer import Offer, OfferRefusal, refuse_offers
from reconciler.errors import HagitError, PeerError, PeerErrorCode, StateError, UsageError
from reconciler.system.files import Lock, make_directory
from reconciler.system.node import Node
from reconciler.system.peer.code_exchange import Exchange, Judge, OwnCredentials, made_identity
from reconciler.system.peer.enrolment_dialog import EnrolmentDialog
from reconciler.system.peer.identity import load_identity, peer_directory, write_identity
from reconciler.system.peer.own_offer import (
    forget_offer,
    kept_offer,
    new_offer,
    offer_fingerprint,
    read_offer,
    write_offer,
)

DONE, FAILED = 0, 1


def enroll(
    code: Annotated[
        str | None, typer.Argument(help="The code that the other controller shows; asked for when not given.")
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", help="Where the other controller shows its code, if no link leads to it.", metavar="ADDRESS"
        ),
    ] = "",
    link: Annotated[
        str, typer.Option("--link", help="Look on this link only. Else on interlinks, or on all links without one.")
    ] = "",
    show: Annotated[bool, typer.Option("--show", help="Show a code, and do not look for one first.")] = False,
    yes: YesOption = False,
    expect_serial: Annotated[
        str, typer.Option("--expect-serial", help="The other one's serial number; --yes needs it.", metavar="SERIAL")
    ] = "",
    replace: Annotated[
        str, typer.Option("--replace", help="Expel the enrolled peer with this serial number.", metavar="SERIAL")
    ] = "",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Give an enrolled pair new keys and a new heartbeat secret, without a gap.")
    ] = False,
    offer: Annotated[
        Path | None, typer.Option("--offer", help="Write what this controller offers into a file, and end.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Take the other controller's offer from a file.")] = None,
    fingerprint: Annotated[str, typer.Option("--fingerprint", help="With --file: the 64 digits it printed.")] = "",
    node: NodeOption = None,
) -> int:
    """Make this controller and the other one a pair, by a code.

    Run it on both. The first one shows a code, the second one asks for it. Both
    then show the other's serial number and four words: compare them, and say yes
    on both. Nothing is kept unless both said yes. It leaves keys for the channel
    between the agents, the heartbeat secret where it is missing, and the keys of
    the virtual address. Exit status 0: enrolled, 1: not.

    \b
    Example:  hagit enroll
              hagit enroll --to 192.0.2.11
              hagit enroll --replace SERIAL-OF-THE-LOST-ONE
              hagit enroll --rotate
              hagit enroll --offer a.offer           (without a network between them)
              hagit enroll --file b.offer --fingerprint 3f2c…
    """
    if yes and not expect_serial:
        raise UsageError("--yes skips the comparison by a person", remedy="say whom to expect: --expect-serial SERIAL")
    if (file is not None) != bool(fingerprint):
        raise UsageError("--file and --fingerprint belong together", remedy="`hagit enroll --offer` there prints it")
    if code is not None and (show or offer or file):
        raise UsageError("a code is given to the controller that does not show one", remedy="leave the option out")
    with Session(node) as session:
        make_directory(peer_directory(session.node))
        with Lock(peer_directory(session.node) / "enroll.lock", "hagit enroll"):
            command = _Enrolment(session, expect_serial, replace, yes=yes)
            if rotate:
                return command.rotate()
            if offer is not None:
                return command.write_file(offer)
            if file is not None:
                return command.take_file(file, fingerprint)
            if not (code or show or to or replace) and (ended := command.finish()) is not None:
                return ended
            command.require_free()
            places = Places(session.node.peer.port, to, link)
            joins = code is not None or bool(to) or (not show and host_is_near(places))
            return command.join(places, code) if joins else command.host(places)


class _Enrolment:
    """One run of the command."""

    def __init__(self, session: Session, expect_serial: str, replaces: str, *, yes: bool) -> None:
        self._session = session
        self._node: Node = session.node
        self._expect_serial = expect_serial
        self._replaces = replaces
        self._yes = yes
        self._names = session.pair_names()

    @property
    def _pair(self) -> str:
        return self._names.name if self._names is not None else self._node.trust.pair

    def finish(self) -> int | None:
        """Finish an enrolment that was cut at its last message. None when there is more to do."""
        match self._session.finish_enrolment():
            case "committed":
                print("The enrolment that was cut is in force now: the other controller had committed it.")
                return DONE
            case "unknown":
                print(
                    "An earlier enrolment was cut at its last message, and the other controller does not answer yet: "
                    "its agent may not run.\nThis one replaces it, if you go on."
                )
            case "discarded":
                print("An earlier enrolment was cut before the other controller had committed it; it was forgotten.")
            case _:
                pass
        return None

    def require_free(self) -> None:
        """Raise UsageError when this controller has a peer that is not to be replaced."""
        identity = load_identity(self._node)
        if identity is None:
            if self._replaces:
                raise UsageError("this controller has no peer that could be replaced", remedy="run: hagit enroll")
        elif not self._replaces:
            raise UsageError(
                f"this controller is enrolled with controller {identity.peer_side}, serial {identity.peer_serial!r}",
                remedy=f"nothing is to be done; or, if that one is lost or was set up again: hagit enroll --replace "
                f"{identity.peer_serial or '-'}",
            )
        elif self._replaces != (identity.peer_serial or "-"):
            raise UsageError(
                f"the enrolled peer has the serial number {identity.peer_serial!r}, not {self._replaces!r}",
                remedy=f"name the one that is to be expelled: hagit enroll --replace {identity.peer_serial or '-'}",
            )

    def host(self, places: Places) -> int:
        """Show a code, and enrol whoever proves it and is confirmed."""
        own = new_offer(self._node, self._pair)
        exchange = wait_for_joiner(places, own, self._judge(own.offer))
        return self._confirm(EnrolmentRole.HOST, own, exchange)

    def join(self, places: Places, code: str | None) -> int:
        """Enrol with the controller that shows the code."""
        digits = read_code(code) if code is not None else ask_code()
        own = new_offer(self._node, self._pair)
        exchange = join_host(places, digits, own, self._judge(own.offer))
        return self._confirm(EnrolmentRole.JOINER, own, exchange)

    def _judge(self, own: Offer) -> Judge:
        serials = dict(self._names.serials) if self._names is not None else {}

        def judge(other: Offer) -> OfferRefusal | None:
            if self._expect_serial and other.serial != self._expect_serial:
                return OfferRefusal(
                    f"the other machine has the serial number {other.serial!r}; {self._expect_serial!r} is expected",
                    "name the right one: --expect-serial SERIAL",
                )
            return refuse_offers(own, other, serials)

        return judge

    def _confirm(self, role: EnrolmentRole, own: OwnCredentials, exchange: Exchange) -> int:
        other = exchange.offer
        print(
            f"Found controller {other.side}, serial {styled(repr(other.serial), 1)}, hagit {other.hagit or 'unknown'}, "
            f"at {exchange.remote}.\nThis is controller {own.offer.side}, serial {own.offer.serial!r}.\n"
            f"Words:  {styled('  '.join(exchange.words), 1)}",
            flush=True,
        )
        name = self._names.virtual_hostname if self._names is not None else None
        dialog = EnrolmentDialog(
            self._node, role, own, exchange, name=name or self._pair or "hagit", replaces=bool(self._replaces)
        )
        question = "Are these words on the other controller, too, and is that its serial number?"
        outcome = dialog.run(self._says_yes(question))
        return _report(outcome, dialog, other)

    def _says_yes(self, question: str) -> bool:
        return self._yes or confirmed(question)

    def rotate(self) -> int:
        """Replace keys and secret of an enrolled pair, over the channel."""
        if self._session.peer is None:
            raise UsageError("this controller is not enrolled", remedy="run on both: hagit enroll")
        self._session.rotate_certificates()
        print("Both controllers have new keys, and accept nothing but the new certificates.", flush=True)
        if self._node.watchdog is None:
            print("This controller has no watchdog, so no heartbeat secret was replaced.")
            return DONE
        print(f"Both controllers use the heartbeat secret {self._session.rotate_secret()}, and accept no other.")
        return DONE

    def write_file(self, file: Path) -> int:
        """Write an offer for the other controller."""
        self.require_free()
        offer = write_offer(self._node, self._pair, file)
        print(f"Wrote {file}. Take it to the other controller, and run there, with what that one wrote here:")
        print(f"  hagit enroll --file {file.name} --fingerprint {offer_fingerprint(offer)}")
        return DONE

    def take_file(self, file: Path, fingerprint: str) -> int:
        """Take the other controller's offer."""
        self.require_free()
        own, other = kept_offer(self._node), read_offer(file, fingerprint)
        refusal = self._judge(own.offer)(other)
        if refusal is not None:
            raise PeerError(PeerErrorCode.REFUSED, refusal.what, str(file), refusal.remedy)
        question = f"Is {other.serial!r} the serial number of controller {other.side}, the other one of this pair?"
        if not self._says_yes(question):
            print("Nothing was kept.")
            return FAILED
        write_identity(self._node, made_identity(own, other))
        forget_offer(self._node)
        print(f"Enrolled with controller {other.side}. Do the same there with this controller's file.")
        print("No secret was carried. Say where the peer is ([peer] addresses), then run: hagit peer")
        return DONE


def _report(outcome: EnrolmentOutcome, dialog: EnrolmentDialog, other: Offer) -> int:
    """Print how it ended. Returns the exit status. Raises HagitError for a failure."""
    for note in dialog.notes:
        print(f"Note: {note}.")
    match outcome:
        case EnrolmentOutcome.ENROLLED:
            print(f"Enrolled with controller {other.side}, serial {other.serial!r}. `hagit peer` asks its agent.")
            return DONE
        case EnrolmentOutcome.PEER_UNKNOWN:
            print(
                f"Enrolled here. Controller {other.side} has stored it, and did not say that it is done: "
                "run `hagit enroll` there, which finishes it."
            )
            return DONE
        case EnrolmentOutcome.IN_DOUBT:
            print(
                f"All is stored here, and controller {other.side} did not say that it has committed. When its agent "
                "runs, run `hagit enroll` here again: it finishes this enrolment, or forgets it."
            )
            return FAILED
        case EnrolmentOutcome.DECLINED_HERE:
            print("Nothing was kept, here or there. Without a terminal use --yes --expect-serial SERIAL.")
            return FAILED
        case _:
            raise _failure(outcome, dialog.failure, other)


def _failure(outcome: EnrolmentOutcome, failure: HagitError | None, other: Offer) -> HagitError:
    again = "nothing was kept, here or there; run hagit enroll on both again"
    match outcome:
        case EnrolmentOutcome.DECLINED_THERE:
            return PeerError(PeerErrorCode.REFUSED, f"controller {other.side} said no", remedy=again)
        case EnrolmentOutcome.FAILED_HERE if failure is not None:
            return StateError(failure.what, where=failure.where, remedy=failure.remedy or again)
        case EnrolmentOutcome.FAILED_THERE:
            why = failure.what if failure is not None else "it does not say why"
            return PeerError(PeerErrorCode.FAILED, f"controller {other.side} could not store it: {why}", remedy=again)
        case _:
            why = f" ({failure.what})" if failure is not None else ""
            what = f"the connection to controller {other.side} ended before both had confirmed{why}"
            return PeerError(PeerErrorCode.UNREACHABLE, what, remedy=again)
