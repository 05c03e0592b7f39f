"""`hagit restore`: puts back what `hagit backup` kept, on the controller that it is of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.terminal import ask_secret, confirmed, local_time
from reconciler.errors import HagitError, StateError, UsageError
from reconciler.system.backup.archive import Backup, Place, decode_backup
from reconciler.system.backup.restoration import Effect, RestorePlan, perform_restore, plan_restore
from reconciler.system.files import holder_of, read_bytes
from reconciler.system.machine import machine_serial
from reconciler.system.node import Node, find_node_file, load_node, node_of

STATE: Final = Path("/var/lib/hagit")
_SHOWN: Final = {
    Effect.NEW: "new       ",
    Effect.REPLACED: "replaced  ",
    Effect.SAME: "unchanged ",
    Effect.REMOVED: "removed   ",
}


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `hagit backup` wrote.")],
    identity: Annotated[
        list[Path] | None,
        typer.Option("--identity", "-i", metavar="FILE", help="An age identity or SSH private key. Repeatable."),
    ] = None,
    as_replacement: Annotated[
        bool, typer.Option("--as-replacement", help="Restore onto another machine, controller or pair.")
    ] = False,
    outside: Annotated[
        bool, typer.Option("--outside", help="Also files that were neither beside the node file nor of the enrolment.")
    ] = False,
    node: NodeOption = None,
    yes: YesOption = False,
) -> int:
    """Put back the node file, secrets, lists of signers and enrolment of a controller, all or nothing.

    Shows what changes, and asks. Refused while the agent or the watchdog runs, and on another machine than the backup
    is of, unless this one takes its place. Restore only a backup that you made: it says whom this controller trusts.

    \b
    Example:  hagit restore /mnt/usb/shelf1-a.age
              hagit restore shelf1-a.age --identity key.txt --as-replacement
    """
    backup = decode_backup(_opened(file, identity or []))
    path = find_node_file(node).absolute()
    described = node_of(path, backup.node.content)
    present = _present(path)
    _require_stopped(described, present)
    differences = _differences(backup, described, present)
    if differences and not as_replacement:
        raise StateError(
            "this backup is of another controller: " + "; ".join(differences),
            where=str(file),
            remedy="--as-replacement restores it nevertheless. Never run two machines with one backup",
        )
    state = described.state
    if state not in (STATE, present.state if present is not None else STATE) and not outside:
        raise StateError(
            f"the state directory of the backup is {state}, and not {STATE}",
            where=str(file),
            remedy="if that is meant: --outside",
        )
    plan = plan_restore(backup, path, state, present, outside=outside)
    _show(backup, plan, differences)
    if not plan.changes:
        print("Everything is as it was in the backup: nothing to do.")
        return 0
    if not yes and not confirmed("Restore these files?"):
        print("Nothing was restored.", file=sys.stderr)
        return 1
    perform_restore(plan)
    print("Restored. Next: hagit plan, then systemctl start hagit-watchdog hagit-agent.")
    return 0


def _opened(file: Path, identities: list[Path]) -> bytes:
    """The content of a backup. Raises StateError, UsageError."""
    from reconciler.system.backup.encryption import BACKUP_BYTES_MAX, decrypt_by, decrypt_with, needs_passphrase

    data = read_bytes(file, BACKUP_BYTES_MAX)
    if data is None:
        raise UsageError("there is no such file", where=str(file))
    try:
        if needs_passphrase(data):
            return decrypt_with(data, ask_secret("Passphrase of the backup"))
        if not identities:
            raise UsageError("this backup is for a key", remedy="name the file of its identity: --identity FILE")
        return decrypt_by(data, identities)
    except StateError as error:
        raise StateError(error.what, where=str(file), remedy=error.remedy) from error


def _present(path: Path) -> Node | None:
    """The node that is here now, None without a node file that can be used."""
    try:
        if read_bytes(path) is None:
            return None
        return load_node(path)
    except HagitError as error:
        print(f"note: the present node file cannot be used: {error}", file=sys.stderr)
        return None


def _require_stopped(*nodes: Node | None) -> None:
    """Raise StateError while the agent or the watchdog of one of these nodes runs."""
    for node in nodes:
        if node is None:
            continue
        locks = [("agent", node.state / "agent.lock")]
        locks += [("watchdog", node.watchdog.run / "watchdog.lock")] if node.watchdog is not None else []
        for name, lock in locks:
            if holder_of(lock) is not None:
                raise StateError(
                    f"the {name} runs, and would go on with the files of before",
                    where=str(lock),
                    remedy="on the active controller first: hagit switchover. Then: "
                    "systemctl stop hagit-watchdog hagit-agent",
                )


def _differences(backup: Backup, described: Node, present: Node | None) -> list[str]:
    """Why this machine is not the controller that the backup is of, in words."""
    found: list[str] = []
    serial = machine_serial((present or described).serial_file)
    if backup.serial and serial != backup.serial:
        has = f"has {serial!r:.80}" if serial else "says none"
        found.append(f"it is of the machine with the serial number {backup.serial!r:.80}, and this one {has}")
    if described.controller != backup.controller:
        found.append("its node file is that of the other controller")
    if present is None:
        return found
    if present.controller != backup.controller:
        found.append(f"it is of controller {backup.controller}, and this is {present.controller}")
    pair = _pair_of(present)
    if pair and backup.pair and pair != backup.pair:
        found.append(f"it is of the pair {backup.pair!r:.80}, and this is {pair!r:.80}")
    return found


def _pair_of(node: Node) -> str:
    """The name of the pair that was last in force here, empty without one."""
    from reconciler.agent.session import Session

    try:
        with Session(node.path) as session:
            content = session.last_selection().content
    except HagitError:
        return node.trust.pair
    return content.settings.pair.name if content is not None else node.trust.pair


def _show(backup: Backup, plan: RestorePlan, differences: list[str]) -> None:
    pair = f" of the pair {backup.pair}" if backup.pair else ""
    host = f" ({backup.host})" if backup.host else ""
    print(f"Backup of controller {backup.controller}{pair}{host}, made {local_time(backup.made_s)}:")
    for difference in differences:
        print(f"  warning: {difference}")
    for target in plan.targets:
        print(f"  {_SHOWN[target.effect]}{target.path}")
    for path in plan.outside:
        print(f"  left out  {path} (--outside)")
    if any(file.place is Place.PEER for file in backup.files) and differences:
        print("  The peer knows the enrolment by the serial number: hagit enroll --replace on the peer comes next.")
