"""What git may say to a fence agent: the names of agents, the names of their options, and the form of each value.

Fence agents put values of options, unquoted, into command lines that a shell reads as root. So a value consists of
signs that mean nothing to a shell, does not begin with a dash, and has the form of what its option is: a host, a
number, a truth value, a file. The compiler, the reader of the power plan and the runner of agents all ask here.
Decides what is unfit, and says why. Does not know where a value stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from reconciler.core.power.fence_agents import AGENTS, NO_POWER, SECRET, options_of
from reconciler.core.power.plan import OPTION, PowerPlan

VALUE_LENGTH_MAX: Final = 200
#: An agent that only the node file knows: it names the program.
LOCAL: Final = re.compile(r"fence_local_[a-z0-9][a-z0-9_]{0,30}")
#: Options that hagit gives itself.
OURS: Final = frozenset({"action", "option", "nodename"})
#: With these an agent prints what it was told, or ends before its work.
TALK: Final = frozenset({"verbose", "verbose_level", "debug", "debug_file", "quiet", "help", "version", "logfile"})
#: Programs to run, what is run by them, files that an agent writes, and patterns.
PROGRAMS: Final = re.compile(
    r".*[_-](?:path|script|options|prompt)|exec|openrc|cmd|runon.*|kubeconfig|(?:token|cookie|debug)_file|use_cookies"
)

#: No white space, no quotes, nothing that a shell reads as more than itself, and no dash at the beginning.
VALUE: Final = r"[A-Za-z0-9_/:.,@+=][A-Za-z0-9_/:.,@+=-]{0,199}"
_VALUE: Final = re.compile(VALUE)
_HOST: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?")
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_TRUTH: Final = re.compile(r"0|1|true|false|on|off|yes|no", re.IGNORECASE)
_FILE: Final = re.compile(r"/etc(?:/[A-Za-z0-9_][A-Za-z0-9_.+@-]*)+")
_TTY: Final = re.compile(r"/dev/(?:tty[A-Za-z]*[0-9]+|serial/by-(?:id|path)/[A-Za-z0-9_][A-Za-z0-9_.:+-]*)")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+/?")
_URL: Final = re.compile(r"https?://([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?((?:/[A-Za-z0-9_.-]*)*)")
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_:.,@+=/-]*)")

#: What an option is, where it is more than a name.
_KINDS: Final[Mapping[str, str]] = {
    "host": "ip ipaddr proxyhost",
    "port": "ipport proxyport",
    "number": "apitimeout connect_retries connect_timeout delay errortimeout ipmitool_timeout limit login_timeout "
    "operation_timeout power_timeout power_wait read_retries read_timeout retries retry_on retrysleep shell_timeout "
    "stonith_status_sleep warntimeout",
    "truth": "baremetalsolution disable_http_filter disable_ssl disable_timeout earlyexit force graceful inet4_only "
    "inet6_only lanplus load_on_activate msi network-fencing network_fencing notls port_as_ip pve_node_auto secure ssh "
    "ssl ssl_insecure ssl_secure sudo tls1.0 use_sudo",
    "file": "cacert identity_file serviceaccount tlscacert tlscert tlskey",
    "tty": "serial_port",
    "path": "redfish-uri redfish_uri systems-uri systems_uri",
    "url": "auth-url auth_url proxy session_url",
}
KIND_OF: Final[Mapping[str, str]] = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def unfit_agent(name: str) -> str:
    """Why git cannot name this agent; "" when it can. A path is never a name."""
    if name in AGENTS or LOCAL.fullmatch(name):
        return ""
    if name in NO_POWER:
        return "switches no power"
    return "is a path, and only the node file names programs" if "/" in name else "is no fence agent of Debian"


def unfit_name(agent: str, name: str) -> str:
    """Why git cannot give this option to the agent; "" when it can."""
    known = options_of(agent)
    if name in SECRET:
        return "is a secret"
    if not OPTION.fullmatch(name):
        return "is no name of an option"
    if name in OURS:
        return "is given by hagit"
    if name in TALK:
        return "makes an agent print what it was told, passwords included"
    if PROGRAMS.fullmatch(name):
        return "lets the repository choose a program to run, a file to write or a pattern, as root"
    return f"is no option of `{agent}`" if known is not None and name not in known else ""


def unfit_value(name: str, value: str) -> str:
    """Why this is no value of the option; "" when it is one."""
    if not _VALUE.fullmatch(value):
        return f"has to be 1 to {VALUE_LENGTH_MAX} letters, digits and _ / : . , @ + = -, with no dash at the beginning"
    form, fits = _form(name, value)
    return "" if fits else f"has to be {form}"


def _form(name: str, value: str) -> tuple[str, bool]:
    """What the value of this option is, and whether this is one."""
    match KIND_OF.get(name):
        case "host":
            return "a host name or an IP address", bool(_HOST.fullmatch(value)) or _is_address(value)
        case "port":
            return "a port, 1 to 65535", bool(_NUMBER.fullmatch(value)) and 0 < int(value) < 1 << 16
        case "number":
            return "a whole number, 0 to 999999", bool(_NUMBER.fullmatch(value))
        case "truth":
            return "true or false", bool(_TRUTH.fullmatch(value))
        case "file":
            return "the path of a file below /etc, without `..`", bool(_FILE.fullmatch(value))
        case "tty":
            return "a serial line, like /dev/ttyS0", bool(_TTY.fullmatch(value))
        case "path":
            return "a path, like /redfish/v1", bool(_PATH.fullmatch(value))
        case "url":
            return "a URL of http or https", _is_url(value)
        case _:
            return "a name", bool(_NAME.fullmatch(value)) and ".." not in value.split("/")


def unfit_plan(plan: PowerPlan) -> str:
    """What in a plan must not reach an agent; "" when all of it may."""
    for switch in plan.switches:
        if why := unfit_agent(switch.agent):
            return f"the fence agent of {switch.side} {why}"
        for option in switch.options:
            if why := unfit_name(switch.agent, option.name) or unfit_value(option.name, option.value):
                # A refused name may be anything: it is not repeated.
                name = f"`{option.name}`" if OPTION.fullmatch(option.name) else "an option"
                return f"{name} of the fence agent of {switch.side} {why}"
    return ""


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_url(value: str) -> bool:
    match = _URL.fullmatch(value)
    if match is None:
        return False
    host, port, path = match.groups()
    return bool(_HOST.fullmatch(host)) and (port is None or 0 < int(port) < 1 << 16) and ".." not in path.split("/")
