"""Secrets that fence agents would hand on as arguments, given to the programs behind them in another way.

fence_ipmilan and the agents that speak SNMP start ipmitool(1) or net-snmp's programs with the password among the
arguments. They are given another program in the place of it, which takes the word away: ipmitool is told the name of
the file instead, net-snmp finds the words in an snmp.conf(5) that is in no file system.

Decides which agents these are. Everything else that is secret goes to an agent on its standard input.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

IPMI: Final = frozenset(
    {"fence_idrac", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_imm", "fence_ipmilan", "fence_ipmilanplus"}
)
IPMITOOL: Final = Path(__file__).with_name("ipmitool")
IPMI_FILE: Final = "HAGIT_IPMI_PASSWORD_FILE"
PASSWORDS: Final = ("password", "passwd")

SNMP: Final = frozenset(
    {
        "fence_apc_snmp", "fence_eaton_snmp", "fence_emerson", "fence_ibmblade", "fence_intelmodular", "fence_ipdu",
        "fence_lindypdu", "fence_tripplite_snmp",
    }
)  # fmt: skip
SNMP_TOOL: Final = Path(__file__).with_name("snmp")
SNMP_TOOLS: Final = ("snmpget", "snmpset", "snmpwalk")
SNMP_DIRECTORY: Final = "SNMPCONFPATH"
#: What a secret is called in snmp.conf(5).
TOKENS: Final[Mapping[str, str]] = {
    "community": "defCommunity",
    "password": "defAuthPassphrase",
    "passwd": "defAuthPassphrase",
    "snmp_priv_passwd": "defPrivPassphrase",
}
#: From what they were told the agents conclude how to speak; the word itself is taken away again.
STANDS_FOR_IT: Final = "hagit"


@contextlib.contextmanager
def wrap_secrets(
    agent: str, secrets: Mapping[str, tuple[Path, str]]
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Options and environment that tell an agent its secrets. `secrets`: file and content of each, by its option.

    What the environment names is there within only.
    """
    options = {name: secret for name, (_, secret) in secrets.items()}
    if agent in IPMI and (names := [name for name in PASSWORDS if name in secrets]):
        others = {name: secret for name, secret in options.items() if name not in names}
        yield others | {"ipmitool_path": str(IPMITOOL)}, {IPMI_FILE: str(secrets[names[0]][0])}
    elif agent in SNMP and (names := [name for name in TOKENS if name in secrets]):
        paths = {f"{tool}_path": f"{SNMP_TOOL} {tool}" for tool in SNMP_TOOLS}
        with _snmp_conf({TOKENS[name]: options[name] for name in names}) as directory:
            yield options | dict.fromkeys(names, STANDS_FOR_IT) | paths, {SNMP_DIRECTORY: str(directory)}
    else:
        yield options, {}


@contextlib.contextmanager
def _snmp_conf(words: Mapping[str, str]) -> Iterator[Path]:
    """A directory with an snmp.conf that is memory of this process: nothing is left of it when a process is killed."""
    memory = os.memfd_create("snmp.conf")
    try:
        for token, word in words.items():
            quoted = word.replace("\\", "\\\\").replace('"', '\\"')
            os.write(memory, f'{token} "{quoted}"\n'.encode())
        with tempfile.TemporaryDirectory(prefix="hagit-snmp-") as place:
            (Path(place) / "snmp.conf").symlink_to(f"/proc/{os.getpid()}/fd/{memory}")
            yield Path(place)
    finally:
        os.close(memory)
