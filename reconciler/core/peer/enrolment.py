"""The end of an enrolment: both people say yes, both controllers store the result, and then both commit it.

    host                                    joiner
      confirmed ──────────────────────────► ◄──────────────── confirmed     each when its person has said yes
      store; prepare ─────────────────────►
                                              store
                ◄─────────────────── prepared
      commit; committed ──────────────────►
                                              commit
                ◄─────────────────────── done

The invariants: a controller commits only what its own person and the other one's have confirmed; the joiner commits
only what the host has committed; and when the host has committed, the joiner has stored all that it needs. So a cut
leaves nothing half, but in one place: a joiner that is `prepared` does not know whether the host has committed. It
keeps what it stored, and learns the answer from the host's agent, which accepts it or does not.

`advance` is pure: state and event in, state and effects out. It decides nothing about who the other machine is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias


class EnrolmentRole(StrEnum):
    """The host has made the code and decides; the joiner was told the code."""

    HOST = "host"
    JOINER = "joiner"


class EnrolmentMessage(StrEnum):
    """What the two say to each other, as the word stands on the wire."""

    CONFIRMED = "confirmed"
    DECLINED = "declined"
    PREPARE = "prepare"
    PREPARED = "prepared"
    FAILED = "failed"
    COMMITTED = "committed"
    DONE = "done"


class EnrolmentPhase(StrEnum):
    """What one side waits for."""

    CONFIRMING = "confirming"
    #: Its own files: the result is being stored beside the identity in force.
    STORING = "storing"
    #: The host, until the joiner has stored; the joiner, until the host has committed.
    WAITING = "waiting"
    COMMITTING = "committing"
    #: The host, until the joiner has committed.
    ENDING = "ending"
    ENDED = "ended"


class EnrolmentOutcome(StrEnum):
    """How it ended here."""

    ENROLLED = "enrolled"
    #: The host has committed, and does not know whether the joiner has.
    PEER_UNKNOWN = "peer-unknown"
    #: The joiner has stored all, and does not know whether the host has committed.
    IN_DOUBT = "in-doubt"
    DECLINED_HERE = "declined-here"
    DECLINED_THERE = "declined-there"
    FAILED_HERE = "failed-here"
    FAILED_THERE = "failed-there"
    CUT = "cut"
    #: The other side said what does not belong there.
    CONFUSED = "confused"


@dataclass(frozen=True, slots=True)
class PersonAnswered:
    """The person at this controller has compared, and said yes or no."""

    yes: bool


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """The other side said something."""

    message: EnrolmentMessage


@dataclass(frozen=True, slots=True)
class FilesWritten:
    """The last Store or Commit has ended; well, or not (a full disk)."""

    well: bool


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """Nothing more will come: closed, or too slow."""


EnrolmentEvent: TypeAlias = PersonAnswered | MessageArrived | FilesWritten | ConnectionLost


class EnrolmentEffect(StrEnum):
    """What the caller does, in order. `SEND_...` names the message."""

    SEND_CONFIRMED = "send-confirmed"
    SEND_DECLINED = "send-declined"
    SEND_PREPARE = "send-prepare"
    SEND_PREPARED = "send-prepared"
    SEND_FAILED = "send-failed"
    SEND_COMMITTED = "send-committed"
    SEND_DONE = "send-done"
    #: Write the result beside the identity in force, synced; then report FilesWritten.
    STORE = "store"
    #: Make what was stored the identity in force; then report FilesWritten.
    COMMIT = "commit"
    #: Remove what was stored.
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class EnrolmentState:
    """One side."""

    role: EnrolmentRole
    phase: EnrolmentPhase = EnrolmentPhase.CONFIRMING
    confirmed_here: bool = False
    confirmed_there: bool = False
    outcome: EnrolmentOutcome | None = None


Advance: TypeAlias = tuple[EnrolmentState, tuple[EnrolmentEffect, ...]]


def advance(state: EnrolmentState, event: EnrolmentEvent) -> Advance:
    """The state after an event, and what the caller does now. Events after the end change nothing."""
    if state.phase is EnrolmentPhase.ENDED:
        return state, ()
    if isinstance(event, ConnectionLost):
        return _lost(state)
    if isinstance(event, PersonAnswered):
        return _answered(state, event.yes)
    if isinstance(event, FilesWritten):
        return _written(state, event.well)
    return _heard(state, event.message)


def _end(state: EnrolmentState, outcome: EnrolmentOutcome, *effects: EnrolmentEffect) -> Advance:
    return replace(state, phase=EnrolmentPhase.ENDED, outcome=outcome), effects


def _lost(state: EnrolmentState) -> Advance:
    match state.role, state.phase:
        case EnrolmentRole.HOST, EnrolmentPhase.ENDING:
            return _end(state, EnrolmentOutcome.PEER_UNKNOWN)
        case EnrolmentRole.JOINER, EnrolmentPhase.WAITING if state.confirmed_there:
            return _end(state, EnrolmentOutcome.IN_DOUBT)
        case _:
            return _end(state, EnrolmentOutcome.CUT, EnrolmentEffect.DISCARD)


def _answered(state: EnrolmentState, yes: bool) -> Advance:
    assert state.phase is EnrolmentPhase.CONFIRMING and not state.confirmed_here, "a person answers once"
    if not yes:
        return _end(state, EnrolmentOutcome.DECLINED_HERE, EnrolmentEffect.SEND_DECLINED)
    return _both(replace(state, confirmed_here=True), EnrolmentEffect.SEND_CONFIRMED)


def _both(state: EnrolmentState, *effects: EnrolmentEffect) -> Advance:
    """The host stores when both have confirmed; the joiner waits for what the host has made."""
    if state.role is EnrolmentRole.HOST and state.confirmed_here and state.confirmed_there:
        return replace(state, phase=EnrolmentPhase.STORING), (*effects, EnrolmentEffect.STORE)
    return state, effects


def _written(state: EnrolmentState, well: bool) -> Advance:
    host = state.role is EnrolmentRole.HOST
    match state.phase:
        case EnrolmentPhase.STORING if well:
            sent = EnrolmentEffect.SEND_PREPARE if host else EnrolmentEffect.SEND_PREPARED
            return replace(state, phase=EnrolmentPhase.WAITING), (sent,)
        case EnrolmentPhase.STORING:
            return _end(state, EnrolmentOutcome.FAILED_HERE, EnrolmentEffect.DISCARD, EnrolmentEffect.SEND_FAILED)
        case EnrolmentPhase.COMMITTING if well and host:
            return replace(state, phase=EnrolmentPhase.ENDING), (EnrolmentEffect.SEND_COMMITTED,)
        case EnrolmentPhase.COMMITTING if well:
            return _end(state, EnrolmentOutcome.ENROLLED, EnrolmentEffect.SEND_DONE)
        case EnrolmentPhase.COMMITTING if host:
            return _end(state, EnrolmentOutcome.FAILED_HERE, EnrolmentEffect.DISCARD, EnrolmentEffect.SEND_FAILED)
        case EnrolmentPhase.COMMITTING:
            # The host has committed: what is stored here is kept, and committed when the disk takes it.
            return _end(state, EnrolmentOutcome.IN_DOUBT)
        case _:
            raise AssertionError("nothing is being written")


def _heard(state: EnrolmentState, message: EnrolmentMessage) -> Advance:
    host = state.role is EnrolmentRole.HOST
    match state.phase, message:
        case EnrolmentPhase.CONFIRMING, EnrolmentMessage.DECLINED:
            return _end(state, EnrolmentOutcome.DECLINED_THERE)
        case EnrolmentPhase.CONFIRMING, EnrolmentMessage.CONFIRMED if not state.confirmed_there:
            return _both(replace(state, confirmed_there=True))
        case EnrolmentPhase.CONFIRMING, EnrolmentMessage.FAILED:
            return _end(state, EnrolmentOutcome.FAILED_THERE)
        case EnrolmentPhase.CONFIRMING, EnrolmentMessage.PREPARE if (
            not host and state.confirmed_here and state.confirmed_there
        ):
            return replace(state, phase=EnrolmentPhase.STORING), (EnrolmentEffect.STORE,)
        case EnrolmentPhase.WAITING, EnrolmentMessage.PREPARED if host:
            return replace(state, phase=EnrolmentPhase.COMMITTING), (EnrolmentEffect.COMMIT,)
        case EnrolmentPhase.WAITING, EnrolmentMessage.COMMITTED if not host:
            return replace(state, phase=EnrolmentPhase.COMMITTING), (EnrolmentEffect.COMMIT,)
        case EnrolmentPhase.WAITING, EnrolmentMessage.FAILED:
            return _end(state, EnrolmentOutcome.FAILED_THERE, EnrolmentEffect.DISCARD)
        case EnrolmentPhase.ENDING, EnrolmentMessage.DONE:
            return _end(state, EnrolmentOutcome.ENROLLED)
        case EnrolmentPhase.ENDING, _:
            return _end(state, EnrolmentOutcome.PEER_UNKNOWN)
        case EnrolmentPhase.WAITING, _ if not host:
            return _end(state, EnrolmentOutcome.IN_DOUBT)
        case _:
            return _end(state, EnrolmentOutcome.CONFUSED, EnrolmentEffect.DISCARD)
