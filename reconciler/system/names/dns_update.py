"""Address records of one name in DNS: compared with what should be there, and replaced where they differ.

Queries and updates go to the primary server of the zone (RFC 2136), signed by a TSIG key, and so are its answers
(RFC 8945): an answer without a good signature counts as none. Over UDP first, over TCP when an answer is lost or
truncated. Owns the A and AAAA records of this one name, and touches no other. Each call is bounded in time, and blocks.
"""

from __future__ import annotations

import time
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from reconciler.core.facts.virtual_name import DnsUpdate
from reconciler.errors import PublicationError
from reconciler.system.names.tsig_keys import TsigKey

#: For one answer over UDP, then for one over TCP.
UDP_S: Final = 2.0
TCP_S: Final = 5.0
#: For all messages of one call.
CALL_S: Final = 30.0
_KEYS: Final = "server and node file need the same key, by name, algorithm and secret"


def publish_records(update: DnsUpdate, key: TsigKey) -> bool:
    """Make the records of the name what they should be; True if one was changed. Takes `CALL_S` at most.

    Looks again after a change, because a server may take an update and drop a part of it without a word (RFC 2136,
    3.4.2.2). Raises PublicationError when the server does not answer, refuses, or answers without a good signature.
    """
    conversation = _Conversation(update, key)
    differing = conversation.differing()
    if not differing:
        return False
    conversation.replace(differing)
    if left := conversation.differing():
        what = f"the server took the update, and still has other {' and '.join(left)} records"
        raise PublicationError(what, where=conversation.where, remedy=f"ask it: dig @{update.server} {update.name} A")
    return True


class _Conversation:
    """The messages of one call."""

    def __init__(self, update: DnsUpdate, key: TsigKey) -> None:
        self._update = update
        self._key = dns.tsig.Key(key.name, key.secret, key.algorithm)
        self._name = dns.name.from_text(update.name)
        self._zone = dns.name.from_text(update.zone)
        self._end_s = time.monotonic() + CALL_S
        self.where = f"{update.server}:{update.port}"

    def differing(self) -> list[str]:
        """The types whose records differ from those that should be there."""
        return [kind for kind, wanted in self._update.records().items() if not self._has(kind, wanted)]

    def replace(self, kinds: list[str]) -> None:
        """Replace the records of these types, all in one update, which a server does whole or not at all."""
        message = dns.update.UpdateMessage(self._zone, keyring=self._key)
        records = self._update.records()
        for kind in kinds:
            message.delete(self._name, kind)
            if records[kind]:
                message.add(self._name, self._update.ttl_s, kind, *records[kind])
        self._require_no_error(self._exchange(message), "update")

    def _has(self, kind: str, wanted: tuple[str, ...]) -> bool:
        query = dns.message.make_query(self._name, kind)
        query.flags = dns.flags.Flag(0)
        query.use_tsig(self._key)
        answer = self._exchange(query)
        if answer.rcode() != dns.rcode.NXDOMAIN:
            self._require_no_error(answer, "query")
        if not answer.flags & dns.flags.AA:
            what = f"the server has no zone {self._update.zone} of its own"
            raise PublicationError(what, where=self.where, remedy="name the primary server of the zone in dnsUpdate")
        sought, found = dns.rdatatype.from_text(kind), None
        for records in answer.answer:
            if records.name == self._name and records.rdtype == dns.rdatatype.CNAME:
                what = f"{self._update.name} is an alias (CNAME) there, so it can have no addresses of its own"
                raise PublicationError(what, where=self.where, remedy="remove the alias, or choose another name")
            if records.name == self._name and records.rdtype == sought:
                found = records
        if found is None:
            return not wanted
        return {str(one) for one in found} == set(wanted) and found.ttl == self._update.ttl_s

    def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        """Send a message and return the answer, with its signature verified."""
        try:
            answer = self._asked(message)
        except dns.tsig.PeerBadKey:
            raise self._refusal(f"the server does not know the key {self._update.key}", _KEYS) from None
        except (dns.tsig.PeerBadSignature, dns.tsig.PeerBadTruncation, dns.tsig.BadSignature):
            raise self._refusal(f"the server has another secret for the key {self._update.key}", _KEYS) from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            what = "the clock of the server differs by more than five minutes from that of this controller"
            raise self._refusal(what, "set both clocks: chronyc tracking") from None
        except dns.exception.Timeout:
            raise self._refusal("the server does not answer", "is it reached? dig @SERVER ZONE SOA") from None
        except (dns.exception.DNSException, EOFError) as error:
            if isinstance(error, dns.exception.FormError) and "requires a TSIG" in str(error):
                raise self._refusal("the answer is not signed", _KEYS) from None
            raise self._refusal(f"the answer is damaged: {type(error).__name__}: {error!s:.200}", "") from None
        except OSError as error:
            raise self._refusal(f"the server is not reached: {error.strerror or error}", "") from None
        # The library sees to it, too; whatever release of it is here, an answer that anyone could send changes nothing.
        if not answer.had_tsig:
            raise self._refusal("the answer is not signed", _KEYS)
        return answer

    def _asked(self, message: dns.message.Message) -> dns.message.Message:
        server, port = self._update.server, self._update.port
        try:
            return dns.query.udp(
                message, server, min(UDP_S, self._left_s()), port, ignore_unexpected=True, raise_on_truncation=True
            )
        except (dns.exception.Timeout, dns.message.Truncated, ConnectionError):
            return dns.query.tcp(message, server, min(TCP_S, self._left_s()), port)

    def _left_s(self) -> float:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise dns.exception.Timeout
        return left_s

    def _require_no_error(self, answer: dns.message.Message, word: str) -> None:
        code = answer.rcode()
        if code == dns.rcode.NOERROR:
            return
        zone, name, key = self._update.zone, self._update.name, self._update.key
        what, remedy = f"the server answers the {word} with {dns.rcode.to_text(code)}", "its log says why"
        if code == dns.rcode.REFUSED:
            what = f"the server refuses the {word}: the key {key} may not do that"
            remedy = f"allow it there, in BIND: update-policy {{ grant {key} name {name} A AAAA; }};"
        elif code in (dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.NOTIMP):
            what = f"the server is not the primary one of the zone {zone} ({dns.rcode.to_text(code)})"
            remedy = "name the primary server and its zone in dnsUpdate"
        raise self._refusal(what, remedy)

    def _refusal(self, what: str, remedy: str) -> PublicationError:
        return PublicationError(what, where=self.where, remedy=remedy)
