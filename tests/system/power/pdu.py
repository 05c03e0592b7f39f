"""A power strip: net-snmp's snmpd with the objects of an APC rack PDU, for the real fence_apc_snmp.

What outlet 7 switches is a process, as with `bmc`. `asked` is every change that was asked for: "1" on, "2" off.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from tests.system.power.bmc import DEADLINE_S, POWER, Switch, free_port

OUTLET: Final = "7"
COMMUNITY: Final = 'com"mu nity-4711'
USER: Final = "hagit"
AUTHENTICATION: Final = "Vixen-4712-auth"
PRIVACY: Final = "Vixen-4713-priv"
#: PowerNet-MIB: rPDUOutletControlOutletCommand, rPDUOutletStatusOutletState.
COMMAND: Final = ".1.3.6.1.4.1.318.1.1.12.3.3.1.1.4." + OUTLET
STATE: Final = ".1.3.6.1.4.1.318.1.1.12.3.5.1.1.4." + OUTLET
#: snmpd.conf(5), pass.
OUTLETS: Final = """\
#!/bin/sh
cd '{root}'
{power}
case "$1 $2" in
    "-g {state}") printf '%s\\ninteger\\n' "$2"; if on; then echo 1; else echo 2; fi ;;
    "-s {command}") echo "$4" >> asked
        if [ "$4" = 2 ]; then cut; fi ;;
esac
"""
CONFIGURATION: Final = """\
agentAddress udp:127.0.0.1:{port}
sysObjectID .1.3.6.1.4.1.318.1.3.4.5
rwcommunity '{community}' 127.0.0.1
createUser {user} SHA "{authentication}" AES "{privacy}"
rwuser {user} authPriv
pass .1.3.6.1.4.1.318.1.1.12.3 {root}/outlets
"""


class Pdu(Switch):
    """One running power strip."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.port = free_port()
        text = CONFIGURATION.format(
            port=self.port, root=root, community=COMMUNITY, user=USER, authentication=AUTHENTICATION, privacy=PRIVACY
        )
        (root / "snmpd.conf").write_text(text, encoding="ascii")
        script = OUTLETS.format(root=root, power=POWER, state=STATE, command=COMMAND)
        (root / "outlets").write_text(script, encoding="ascii")
        (root / "outlets").chmod(0o755)
        self.community = self.confide("community", COMMUNITY)
        self.authentication = self.confide("authentication", AUTHENTICATION)
        self.privacy = self.confide("privacy", PRIVACY)
        argv = ["snmpd", "-f", "-C", "-c", str(root / "snmpd.conf"), "-Le", "-I", "-smux"]
        environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(root / "kept"), "MIBS": ""}
        with (root / "log").open("wb") as log:
            self._process = subprocess.Popen(argv, cwd=root, env=environment, stdin=subprocess.DEVNULL, stderr=log)
        end_s, pause = time.monotonic() + DEADLINE_S, threading.Event()
        while b"NET-SNMP version" not in (root / "log").read_bytes():
            assert time.monotonic() < end_s and self._process.poll() is None, (root / "log").read_text()
            pause.wait(0.05)

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Options of fence_apc_snmp to reach it, without anything secret."""
        return (("ip", "127.0.0.1"), ("ipport", str(self.port)), ("plug", OUTLET), ("power_wait", "0"))

    @property
    def options_v3(self) -> tuple[tuple[str, str], ...]:
        """The same for version 3 with authentication and encryption."""
        return (
            *self.options, ("snmp_auth_prot", "SHA"), ("snmp_priv_prot", "AES"), ("snmp_sec_level", "authPriv"),
            ("snmp_version", "3"), ("username", USER),
        )  # fmt: skip

    def close(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)
