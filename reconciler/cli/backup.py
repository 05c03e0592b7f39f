"""`hagit backup`: keeps what is not in git in one encrypted file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reconciler import __version__
from reconciler.agent.session import Session
from reconciler.cli.options import NodeOption
from reconciler.cli.terminal import ask_secret
from reconciler.errors import UsageError
from reconciler.system.backup.archive import Backup, encode_backup
from reconciler.system.backup.collection import collect_files, require_new
from reconciler.system.clock import wall_s
from reconciler.system.files import write_atomic
from reconciler.system.machine import machine_serial


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; must not exist.")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="KEY", help="Encrypt for age1…, an SSH public key, or a file of those. Repeatable."
        ),
    ] = None,
    node: NodeOption = None,
) -> int:
    """Keep what is not in git in one encrypted file (age): node file, secrets, lists of signers, the enrolment.

    Without --to a passphrase is asked for. Make a backup of each controller, after the enrolment and after every change
    of a secret, and keep it elsewhere.

    \b
    Example:  hagit backup /mnt/usb/shelf1-a.age
              hagit backup shelf1-a.age --to age1qyqszqgp… --to ~/.ssh/id_ed25519.pub
    """
    require_new(file)
    with Session(node) as session:
        here = session.node
        content = session.last_selection().content
        found, missing = collect_files(here, _alert_secrets(session))
        data = encode_backup(
            Backup(
                here.controller,
                found,
                pair=content.settings.pair.name if content is not None else here.trust.pair,
                serial=machine_serial(here.serial_file),
                host=content.settings.pair.hostnames.get(here.controller, "") if content is not None else "",
                made_s=wall_s(),
                version=__version__,
                directory=str(here.path.absolute().parent),
                state=str(here.state),
            )
        )
    from reconciler.system.backup.encryption import encrypt_for, encrypt_with

    write_atomic(file.absolute(), encrypt_for(data, to) if to else encrypt_with(data, _new_passphrase()))
    for path in missing:
        print(f"warning: {path} is named, and is not there", file=sys.stderr)
    print(f"Written: {file}, with {len(found)} files of controller {here.controller}.")
    return 0


def _alert_secrets(session: Session) -> list[Path]:
    """The files that the alert targets of the revision in force name."""
    content = session.last_selection().content
    if content is None:
        return []
    alerting = content.settings.alerting
    named = [*(hook.secret_file for hook in alerting.webhooks), *(hook.url_file for hook in alerting.webhooks)]
    return [Path(name) for name in (*named, *alerting.notify) if name]


def _new_passphrase() -> str:
    """A passphrase that was typed twice. Raises UsageError."""
    first = ask_secret("Passphrase of the backup")
    if ask_secret("The same again") != first:
        raise UsageError("these were two passphrases", remedy="nothing was written; run it again")
    return first
