"""What git may say to fence agents: every value has the form of its option, and nothing is a command."""

import pytest

from reconciler.core.power.fence_agents import AGENTS, NO_POWER, SECRET, options_of
from reconciler.core.power.options import unfit_agent, unfit_name, unfit_value

#: One value that each kind of option takes, and one that is safe for a shell and yet no such value.
FORMS = {
    "ip": ("bmc-a.example.org", "a..b"),
    "ipaddr": ("fd00::9", "fd00:::9"),
    "ipport": ("623", "65536"),
    "power_wait": ("0", "soon"),
    "lanplus": ("true", "2"),
    "identity_file": ("/etc/hagit/id_ed25519", "/srv/clients/id"),
    "tlskey": ("/etc/hagit/key.pem", "/etc/../srv/key"),
    "serial_port": ("/dev/ttyS0", "/dev/sda"),
    "redfish_uri": ("/redfish/v1", "/../x"),
    "auth_url": ("https://keystone.example:5000/v3", "file:///etc/shadow"),
    "username": ("root@pam", "/etc/x"),
    "plug": ("rack/7:2", "a/../b"),
}
HOSTILE = (
    "", " ", "a b", "a\tb", "a\nb", "a\x00b", "a\x1b[2J", "'", '"', "`id`", "$(id)", "${IFS}", "a;b", "a|b", "a&b",
    "a>b", "a<b", "a(b)", "a{b}", "a[b]", "a*b", "a?b", "a!b", "a#b", "a~b", "~root", "a\\b", "-a", "--help",
    "a\u00a0b", "a\u202eb", "\u0661", "é", "a" * 201, "%n", "a^b",
)  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_value_has_the_form_of_its_option(name: str) -> None:
    good, bad = FORMS[name]
    assert unfit_value(name, good) == ""
    assert unfit_value(name, bad).startswith("has to be ")


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_no_option_of_any_agent_takes_what_a_shell_would_read(value: str) -> None:
    names = {name for agent in AGENTS for name in options_of(agent) or ()}
    assert not [name for name in names | {"unheard_of"} if not unfit_value(name, value)]


@pytest.mark.parametrize("agent", AGENTS)
def test_every_option_in_the_list_of_an_agent_may_be_given(agent: str) -> None:
    assert unfit_agent(agent) == ""
    assert {name: why for name in options_of(agent) or () if (why := unfit_name(agent, name))} == {}


@pytest.mark.parametrize(
    "name",
    ["/usr/sbin/fence_ipmilan", "fence_ipmilan/../x", "fence_local_", "fence_local_A", "fence_local_/x", ""],
)
def test_an_agent_is_named_from_a_list(name: str) -> None:
    assert unfit_agent(name)
    assert all(unfit_agent(other) for other in NO_POWER)
    assert unfit_agent("fence_local_ups") == ""


@pytest.mark.parametrize("agent", ["fence_ipmilan", "fence_gce", "fence_local_ups"])
def test_no_agent_is_given_programs_files_to_write_or_secrets(agent: str) -> None:
    for name in (
        "ipmitool_path", "ssh_options", "telnet-path", "runonfail", "runonwarn", "kubeconfig", "cookie_file",
        "token_file", "debug_file", "logfile", "verbose", "action", "cmd_prompt", "command_prompt", "exec", "a b",
        "-x", *SECRET,
    ):  # fmt: skip
        assert unfit_name(agent, name), name
