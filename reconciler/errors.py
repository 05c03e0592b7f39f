"""The one tree of exceptions: each means "cannot continue here" and says what, where and what to do.

    HagitError
    ├── UsageError             the command line or a file named on it does not make sense
    ├── NodeFileError          the node-local file is missing, damaged or contradicts itself
    ├── ConfigurationError     the desired state has defects; carries every complaint at once
    ├── SourceError            the git source cannot be followed
    │   ├── RemoteUnreachable  no remote answered within its limits (work goes on offline)
    │   ├── HostKeyRefused     the SSH host key is not known, or is not the one that is known
    │   ├── HistoryRefused     the branch was rewound or replaced
    │   ├── SignatureRefused   a commit is unsigned, or its signer is not trusted
    │   └── UnsupportedSource  empty, SHA-256, symlinks, submodules, too large
    ├── ObservationError       the live state cannot be read at all
    ├── StalePlanError         what a saved plan was made from has moved
    ├── SurpriseError          the world did not become what the plan predicted
    ├── PerformError           the kernel or the system refused an action
    │   └── NotPermitted       this process may change nothing of this kind, so no other action can succeed either
    ├── StateError             hagit's own state directory: disk full, no permission, locked
    ├── PublicationError       the virtual host name cannot be published
    ├── ControlError           the watchdog does not answer, or its socket cannot be served
    └── PeerError              the other controller does not answer, or answers that it cannot

Expected outcomes are values, never exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.printing import printable


class HagitError(Exception):
    """Base of all. `what` happened, `where` (file:line:column, link, remote), what to do (`remedy`)."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class UsageError(HagitError):
    """The command line, or a file named on it, does not make sense."""


class NodeFileError(HagitError):
    """The node-local file is missing, damaged or contradicts itself."""


@dataclass(frozen=True, slots=True, order=True)
class Complaint:
    """One defect in a desired state. `line` and `column` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    what: str
    remedy: str = ""
    code: str = ""

    def __str__(self) -> str:
        file = printable(self.file)
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{place}: {printable(self.what)}" + (f"\n  {printable(self.remedy)}" if self.remedy else "")


class ConfigurationError(HagitError):
    """The desired state has defects; carries every complaint at once, in the order of the files."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(sorted(complaints))
        count = len(self.complaints)
        super().__init__(f"{count} defect{'s' if count != 1 else ''} in the desired state")

    def __str__(self) -> str:
        return "\n".join(str(complaint) for complaint in self.complaints) + f"\n{self.what}"


class SourceError(HagitError):
    """The git source cannot be followed."""


class RemoteUnreachable(SourceError):
    """No remote answered within its limits; work goes on with what is here."""


class HostKeyRefused(SourceError):
    """The SSH host key is not known, or is not the one that is known."""


class HistoryRefused(SourceError):
    """The branch was rewound or replaced."""


class SignatureRefused(SourceError):
    """A commit is unsigned, or its signer is not trusted."""


class UnsupportedSource(SourceError):
    """The repository is empty, SHA-256, too large, or holds symlinks or submodules. `tip`: of the branch, if known."""

    tip: str = ""


class ObservationError(HagitError):
    """The live state cannot be read at all."""


class StalePlanError(HagitError):
    """What a saved plan was made from has moved."""


class SurpriseError(HagitError):
    """The world did not become what the plan predicted."""


class PerformError(HagitError):
    """The kernel or the system refused an action."""


class NotPermitted(PerformError):
    """This process lacks the right to change anything of this kind, so no other action can succeed either."""


class StateError(HagitError):
    """hagit's own state: disk full, no permission, locked by another."""


class PublicationError(HagitError):
    """The virtual host name cannot be published: by DNS, or by mDNS."""


class EditsLockedError(HagitError):
    """The policy holds changes of interfaces while failover is enabled."""


class ChangePendingError(HagitError):
    """A change waits for its confirmation, or none does."""


class ControlError(HagitError):
    """The watchdog does not answer, or its control socket cannot be served."""


class PeerErrorCode(StrEnum):
    """Why the other controller did not do what it was asked."""

    #: No answer within the time limit, or no connection.
    UNREACHABLE = "unreachable"
    #: One of the two does not accept the other: certificate, serial number, right.
    REFUSED = "refused"
    #: The peer does not know this request: it runs another release.
    UNKNOWN_REQUEST = "unknown-request"
    #: The peer's message needs a newer reader, or ours does.
    VERSION = "version"
    #: The peer tried, and this went wrong.
    FAILED = "failed"


class PeerError(HagitError):
    """The other controller does not answer, or answers that it cannot.

    `sent`: the request may have reached the peer, so that it may have been carried out although no answer came.
    """

    def __init__(
        self, code: PeerErrorCode, what: str, where: str = "", remedy: str = "", *, sent: bool = False
    ) -> None:
        self.code = code
        self.sent = sent
        super().__init__(what, where=where, remedy=remedy)


def shape_defect(error: Exception) -> str:
    """Why a decoder refused a document of our own, in words, from the KeyError, TypeError or ValueError it raised."""
    match error:
        case KeyError(args=(str(name),)):
            return f"`{name:.100}` is missing"
        case ValueError() if str(error):
            return f"{error!s:.200}"
        case _:
            return "it does not have the shape that hagit writes"
