"""Requests to workers and their replies as messages (`system/message_stream`). `worker_protocol` has the values.

Decides nothing. A reader raises ValueError, KeyError or TypeError for a malformed message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

from reconciler.core.failover.ports import Written
from reconciler.core.power.plan import PowerAction, PowerState
from reconciler.core.shares.shares import Protocol
from reconciler.system.findings import Finding
from reconciler.system.message_stream import Message
from reconciler.system.shares.codec import plain_server, read_server
from reconciler.system.shelf.codec import plain_key, plain_pools, plain_view, read_key, read_pools, read_view
from reconciler.watchdog.worker_protocol import (
    AuditReply,
    ClaimReply,
    CompleteClaim,
    CompletionReply,
    DisksReply,
    ExportPools,
    FailedReply,
    GuardClients,
    GuardStep,
    ImportPools,
    LookAtDisks,
    LookAtPools,
    LookAtShares,
    MoveReply,
    PoolsReply,
    PowerReply,
    RecordReply,
    RunAudit,
    RunClaim,
    ServeShares,
    SharesReply,
    StopShares,
    SwitchPower,
    WorkerReply,
    WorkerRequest,
    WriteRecord,
)

#: A reply about shares has at most this many findings.
FINDINGS_MAX: Final = 50


def plain_request(request: WorkerRequest) -> Message:
    """A request as a message."""
    match request:
        case LookAtDisks():
            return {"do": "look"}
        case WriteRecord(sectors):
            return {"do": "write", "sectors": [sector.hex() for sector in sectors]}
        case RunClaim(key, command_ms):
            return {"do": "claim", "key": plain_key(key), "command_ms": command_ms}
        case CompleteClaim(key, disks, command_ms):
            return {
                "do": "complete",
                "key": plain_key(key),
                "disks": disks,
                "command_ms": command_ms,
            }
        case LookAtPools():
            return {"do": "pools"}
        case ImportPools(excused, txgs):
            return {"do": "import", "excused": sorted(excused), "txgs": txgs}
        case ExportPools():
            return {"do": "export"}
        case SwitchPower(deed, agent, options, secrets, program, bound):
            details = {"agent": agent, "options": options, "secrets": secrets, "program": program, "bound": bound}
            return {"do": "power", "deed": deed.value, **details}
        case RunAudit(theirs):
            return {"do": "audit", "theirs": theirs}
        case ServeShares(digest, others, chap):
            return {"do": "serve", "digest": digest, "others": others, "chap": chap}
        case StopShares(protocols):
            return {"do": "stop", "protocols": protocols}
        case LookAtShares(digest, protocols, chap, active):
            return {"do": "shares", "digest": digest, "protocols": protocols, "chap": chap, "active": active}
        case GuardClients(digest, step):
            return {"do": "guard", "digest": digest, "step": step.value}
        case _:
            assert_never(request)


def read_request(message: Message) -> WorkerRequest:
    """A request from a message. Raises ValueError, KeyError or TypeError for a malformed one."""
    match message["do"]:
        case "look":
            return LookAtDisks()
        case "write":
            return WriteRecord(tuple(bytes.fromhex(sector) for sector in message["sectors"]))
        case "claim":
            key = read_key(message["key"])
            if key is None:
                raise ValueError("a claim without a key")
            return RunClaim(key, int(message["command_ms"]))
        case "complete":
            key = read_key(message["key"])
            if key is None:
                raise ValueError("a claim without a key")
            return CompleteClaim(key, tuple(int(at) for at in message["disks"]), int(message["command_ms"]))
        case "pools":
            return LookAtPools()
        case "import":
            excused, txgs = message["excused"], message["txgs"]
            return ImportPools(frozenset(int(at) for at in excused), tuple(int(txg) for txg in txgs))
        case "export":
            return ExportPools()
        case "power":
            options, secrets, bound = (_pairs(message[part]) for part in ("options", "secrets", "bound"))
            deed, agent, program = PowerAction(message["deed"]), str(message["agent"]), str(message["program"])
            return SwitchPower(deed, agent, options, secrets, program, bound)
        case "audit":
            return RunAudit(bool(message["theirs"]))
        case "serve":
            return ServeShares(str(message["digest"]), _protocols(message["others"]), _pairs(message["chap"]))
        case "stop":
            return StopShares(_protocols(message["protocols"]))
        case "shares":
            digest, protocols = str(message["digest"]), _protocols(message["protocols"])
            return LookAtShares(digest, protocols, _pairs(message["chap"]), bool(message["active"]))
        case "guard":
            return GuardClients(str(message["digest"]), GuardStep(message["step"]))
        case other:
            raise ValueError(f"{other!r} is no request")


def plain_reply(reply: WorkerReply) -> Message:
    """A reply as a message."""
    match reply:
        case DisksReply(views, records, age_ms):
            sectors = [None if record is None else record.hex() for record in records]
            return {"looked": [plain_view(view) for view in views], "records": sectors, "age_ms": age_ms}
        case RecordReply(written):
            return {"written": written.value}
        case ClaimReply(epoch, views, commands, silent):
            return {
                "claimed": epoch,
                "views": [plain_view(view) for view in views],
                "commands": commands,
                "silent": silent,
            }
        case CompletionReply(disks):
            return {"completed": disks}
        case PoolsReply(view):
            return {"pools": plain_pools(view)}
        case MoveReply(ok, why):
            return {"moved": ok, "why": why}
        case PowerReply(ok, power, why):
            return {"powered": ok, "power": power.value, "why": why}
        case AuditReply(findings):
            return {"found": _plain_findings(findings)}
        case SharesReply(views, findings, tickled):
            servers = [[protocol.value, plain_server(view)] for protocol, view in views]
            return {"servers": servers, "findings": _plain_findings(findings[:FINDINGS_MAX]), "tickled": tickled}
        case FailedReply(why):
            return {"failed": why}
        case _:
            assert_never(reply)


def read_reply(message: Message) -> WorkerReply:
    """A reply from a message. Raises ValueError, KeyError or TypeError for a malformed one."""
    match message:
        case {"looked": views, "records": records, "age_ms": age_ms}:
            sectors = tuple(None if record is None else bytes.fromhex(record) for record in records)
            return DisksReply(tuple(read_view(view) for view in views), sectors, int(age_ms))
        case {"written": written}:
            return RecordReply(Written(written))
        case {"claimed": epoch, "views": views, "commands": commands, "silent": silent}:
            return ClaimReply(int(epoch), tuple(read_view(view) for view in views), int(commands), int(silent))
        case {"completed": disks}:
            return CompletionReply(tuple(int(at) for at in disks))
        case {"pools": pools}:
            return PoolsReply(read_pools(pools))
        case {"moved": ok, "why": why}:
            return MoveReply(bool(ok), str(why))
        case {"powered": ok, "power": power, "why": why}:
            return PowerReply(bool(ok), PowerState(power), str(why))
        case {"found": findings}:
            return AuditReply(_findings(findings))
        case {"servers": views, "findings": findings, "tickled": tickled}:
            servers = tuple((Protocol(protocol), read_server(view)) for protocol, view in views)
            return SharesReply(servers, _findings(findings), int(tickled))
        case {"failed": why}:
            return FailedReply(str(why))
        case _:
            raise ValueError("no reply")


def _plain_findings(findings: Iterable[Finding]) -> list[list[str]]:
    return [[one.code, one.text, one.evidence, one.remedy] for one in findings]


def _findings(value: Any) -> tuple[Finding, ...]:
    return tuple(Finding(*(str(word) for word in words)) for words in value)


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(text)) for name, text in value)


def _protocols(value: Any) -> tuple[Protocol, ...]:
    return tuple(Protocol(name) for name in value)
