"""One disk with all its paths: registered on every one of them, asked by the first that answers.

Decides what the answers of several paths mean together. A command that may have been done on a path is repeated on
another only where that tells the truth all the same: then CONFLICT may be the echo of its success and is not believed.
Belongs to one thread. Does not know where its paths come from, nor why it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.core.failover.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.key import encode_key
from reconciler.system.reservation.standing import Features, Port, Registration, Result, Standing

SILENT: Final = Reply(Answer.SILENT)

#: Raises an exception of the caller's choice when the disk is not there.
FindPorts = Callable[[], tuple[Port, ...]]


class Disk:
    """`find` is asked for the paths at first, before each REGISTER, and after a path was not reached."""

    def __init__(self, find: FindPorts) -> None:
        self._find = find
        self._ports: tuple[Port, ...] = ()

    def standing(self, end_s: float) -> Standing | Result:
        """What the first path that answers says; UNSUPPORTED when it knows no reservations at all."""
        for port in self._known():
            found = port.standing(end_s)
            if isinstance(found, Standing) or found is Result.UNSUPPORTED:
                return found
        self.close()
        return Result.SILENT

    def registrations(self, end_s: float) -> tuple[Registration, ...] | Result:
        """The same with names, where the disk tells them."""
        for port in self._known():
            found = port.registrations(end_s)
            if not isinstance(found, Result) or found is Result.UNSUPPORTED:
                return found
        return Result.SILENT

    def features(self, end_s: float) -> Features:
        """What the disk says of itself."""
        ports = self._known()
        return ports[0].features(end_s) if ports else Features()

    @property
    def paths(self) -> tuple[str, ...]:
        """The kernel's names of the paths that were found last."""
        return tuple(port.name for port in self._ports)

    def perform(self, command: Command, end_s: float) -> Reply:
        """See `Shelf.perform`."""
        key = encode_key(command.key)
        match command.verb:
            case Verb.LOOK:
                found = self.standing(end_s)
                return Reply(Answer.GOOD, found.view()) if isinstance(found, Standing) else SILENT
            case Verb.REGISTER:
                return self._everywhere(lambda port: port.register(key, end_s), anew=True)
            case Verb.UNREGISTER:
                return self._everywhere(lambda port: port.unregister(key, end_s))
            case Verb.RESERVE:
                return self._once(lambda port: port.reserve(key, end_s))
            case Verb.PREEMPT:
                assert command.victim is not None
                victim = encode_key(command.victim)
                return self._once(lambda port: port.preempt(key, victim, end_s))

    def close(self) -> None:
        """Close every path; the next question finds them anew."""
        for port in self._ports:
            port.close()
        self._ports = ()

    def _known(self) -> tuple[Port, ...]:
        if not self._ports:
            self._ports = self._find()
        return self._ports

    def _everywhere(self, do: Callable[[Port], Result], *, anew: bool = False) -> Reply:
        """On every path that can be reached.

        One that cannot is a path that writes nothing now; if it comes back, its writes are refused until the next
        claim registers it.
        """
        if anew:
            self.close()
        results = {do(port) for port in self._known()}
        if Result.CONFLICT in results and (anew or Result.GOOD not in results):
            return Reply(Answer.CONFLICT)
        if Result.GOOD in results and Result.UNSUPPORTED not in results:
            return Reply(Answer.GOOD)
        self.close()
        return SILENT

    def _once(self, do: Callable[[Port], Result]) -> Reply:
        """On the first path that can be reached."""
        doubt = False
        for port in self._known():
            match do(port):
                case Result.GOOD:
                    return Reply(Answer.GOOD)
                case Result.CONFLICT:
                    return SILENT if doubt else Reply(Answer.CONFLICT)
                case Result.UNSUPPORTED:
                    return SILENT
                case Result.SILENT:
                    doubt = True
                case Result.UNREACHED:
                    pass
        self.close()
        return SILENT
