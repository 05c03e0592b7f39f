"""Fence agents of Debian against a BMC that speaks IPMI, and programs that hang, lie and shout."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.power.plan import PowerAction, PowerState
from reconciler.core.power.secret_scope import FREE
from reconciler.system.power.fence_agent import FenceAgent, FenceResult, perform
from tests.system.power.bmc import PASSWORD, Bmc
from tests.system.power.pdu import AUTHENTICATION, COMMUNITY, PRIVACY, Pdu

LONG_S = 60.0


def known(agent: FenceAgent) -> FenceAgent:
    """With a node file that says that its secrets are for exactly this agent."""
    steering = tuple(option for option in agent.options if option[0] not in FREE)
    return replace(agent, bound=(("agent", agent.name), *steering))


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Bmc]:
    """On the loopback of the machine of the tests: its port is bound for as long as the test takes."""
    one = Bmc(tmp_path / "bmc")
    yield one
    one.close()


@pytest.fixture
def pdu(tmp_path: Path) -> Iterator[Pdu]:
    """As the BMC."""
    one = Pdu(tmp_path / "pdu")
    yield one
    one.close()


@pytest.fixture
def machine() -> Iterator[subprocess.Popen[bytes]]:
    """Something that is on."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    assert process.stdin is not None
    process.stdin.close()
    process.wait(LONG_S)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], FenceAgent]:
    """Makes an agent of a shell script, which finds its options in the file `given` beside it."""

    def make(body: str, **secrets: Path) -> FenceAgent:
        path = tmp_path / "fence_tests"
        path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\ncat > given\naction=$(sed -n s/^action=//p given)\n{body}\n")
        path.chmod(0o755)
        return known(
            FenceAgent("fence_local_tests", (("ip", "10.0.9.12"), ("plug", "7")), tuple(secrets.items()), path)
        )

    return make


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def ipmi(bmc: Bmc) -> FenceAgent:
    return known(FenceAgent("fence_ipmilan", bmc.options, (("password", bmc.password),)))


def test_a_real_agent_cuts_a_real_switch_and_proves_it(bmc: Bmc, machine: subprocess.Popen[bytes]) -> None:
    bmc.switches(machine.pid)
    assert perform(ipmi(bmc), PowerAction.STATUS, LONG_S) == FenceResult(True, PowerState.ON)
    assert perform(ipmi(bmc), PowerAction.OFF, LONG_S) == FenceResult(True, PowerState.OFF)
    assert machine.wait(LONG_S) and bmc.asked == ["0"]
    assert perform(ipmi(bmc), PowerAction.STATUS, LONG_S) == FenceResult(True, PowerState.OFF)
    assert perform(ipmi(bmc), PowerAction.OFF, LONG_S).ok, "what is off already is off"
    assert bmc.asked == ["0"]


def test_a_wrong_password_is_told_without_the_password(bmc: Bmc, machine: subprocess.Popen[bytes]) -> None:
    bmc.switches(machine.pid)
    wrong = secret(bmc.root / "wrong", "Wrong-4711")
    told = perform(known(FenceAgent("fence_ipmilan", bmc.options, (("password", wrong),))), PowerAction.OFF, LONG_S)
    assert not told.ok and told.power is PowerState.UNKNOWN
    assert "`off` ended with 1" in told.why and "Wrong-4711" not in told.why
    assert machine.poll() is None and bmc.asked == []


def cmdlines() -> dict[int, bytes]:
    """The arguments of everything that runs, as every user can read them (proc(5))."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
    return found


def test_the_password_is_in_nobodys_arguments(bmc: Bmc) -> None:
    """The BMC is stopped, so that ipmitool, which fence_ipmilan gives the password as an argument, waits to be seen."""
    bmc.close()
    done: list[FenceResult] = []
    asking = threading.Thread(target=lambda: done.append(perform(ipmi(bmc), PowerAction.STATUS, 4.0)))
    asking.start()
    seen: set[bytes] = set()
    while asking.is_alive():
        for line in cmdlines().values():
            if str(bmc.port).encode() in line and b"ipmitool" in line:
                seen.add(line)
            assert PASSWORD.encode() not in line
        asking.join(0.02)
    assert any(line.startswith(b"/usr/bin/ipmitool\0-f\0") for line in seen), seen
    assert not done[0].ok and PASSWORD not in done[0].why


@pytest.mark.parametrize("version", ["2c", "3"])
def test_a_power_strip_is_told_what_is_in_nobodys_arguments(
    pdu: Pdu, machine: subprocess.Popen[bytes], version: str
) -> None:
    def left() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("hagit-snmp-*"))

    before = left()
    pdu.switches(machine.pid)
    secrets: tuple[tuple[str, Path], ...] = (("community", pdu.community),)
    options = (*pdu.options, ("snmp_version", "2c"))
    if version == "3":
        secrets, options = (("password", pdu.authentication), ("snmp_priv_passwd", pdu.privacy)), pdu.options_v3
    agent, done, seen = known(FenceAgent("fence_apc_snmp", options, secrets)), list[FenceResult](), set[bytes]()
    assert perform(agent, PowerAction.STATUS, LONG_S) == FenceResult(True, PowerState.ON)
    asking = threading.Thread(target=lambda: done.append(perform(agent, PowerAction.OFF, LONG_S)))
    asking.start()
    while asking.is_alive():
        for line in cmdlines().values():
            if b"snmp" in line and str(pdu.port).encode() in line:
                seen.add(line)
            assert not any(word.encode() in line for word in (COMMUNITY, AUTHENTICATION, PRIVACY))
    assert done == [FenceResult(True, PowerState.OFF)] and pdu.asked == ["2"]
    assert machine.wait(LONG_S) and seen
    wrong = tuple((name, secret(pdu.root / f"wrong-{name}", "Wrong-4714")) for name, _ in secrets)
    told = perform(known(FenceAgent("fence_apc_snmp", options, wrong)), PowerAction.STATUS, LONG_S)
    assert not told.ok and told.power is PowerState.UNKNOWN, told
    assert left() == before


def test_secrets_go_through_standard_input_alone(program: Callable[..., FenceAgent], tmp_path: Path) -> None:
    agent = program(
        'tr "\\0" " " < /proc/$$/cmdline > arguments; tr "\\0" "\\n" < /proc/$$/environ > environment; '
        'echo "Status: ON"; exit 0',
        password=secret(tmp_path / "password", "  hush hush\n"),
        token=secret(tmp_path / "token", "ssssh"),
    )
    assert perform(agent, PowerAction.STATUS, LONG_S) == FenceResult(True, PowerState.ON)
    given = (tmp_path / "given").read_text().splitlines()
    assert sorted(given) == ["action=status", "ip=10.0.9.12", "password=hush hush", "plug=7", "token=ssssh"]
    for name in ("arguments", "environment"):
        text = (tmp_path / name).read_text()
        assert "hush" not in text and "ssssh" not in text
    assert sorted(line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()) == [
        "HOME", "LANG", "PATH", "PYTHONWARNINGS",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('[ "$action" = off ] && exit 0; echo "Status: ON"; exit 0', "`status` says that the power is on"),
        ("exit 0", "`status` does not confirm it: `status` ended with 0 and said nothing"),
        ('[ "$action" = off ] && exit 0; exit 2', "`status` ended with 2 and said nothing"),
        ('[ "$action" = off ] && exit 0; echo "Status: OFF"; exit 0', "`status` ended with 0"),
        ('[ "$action" = off ] && exit 0; echo "Status: ON"; exit 2', "`status` ended with 2"),
        ('[ "$action" = off ] && exit 0; echo "Status: ON"; echo "Status: OFF"; exit 2', "`status` ended with 2"),
        ('echo "no way" >&2; exit 1', "`off` ended with 1: no way"),
        ("kill -9 $$", "`off` ended with -9"),
        ("yes password=hush | head -c 300000 >&2; exit 1", "`off` ended with 1: "),
    ],
)
def test_whoever_lies_or_fails_proves_nothing(
    program: Callable[..., FenceAgent], tmp_path: Path, body: str, why: str
) -> None:
    told = perform(program(body, password=secret(tmp_path / "password", "hush")), PowerAction.OFF, LONG_S)
    assert not told.ok and told.power is not PowerState.OFF
    assert why in told.why and "hush" not in told.why and len(told.why) < 500


def test_a_cut_that_failed_late_is_a_cut(program: Callable[..., FenceAgent]) -> None:
    told = perform(program('[ "$action" = off ] && exit 1; echo "Status: OFF"; exit 2'), PowerAction.OFF, LONG_S)
    assert told.ok and told.power is PowerState.OFF and "and yet it is off" in told.why


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_an_agent_that_hangs_is_killed_with_everything_that_it_started(
    program: Callable[..., FenceAgent], tmp_path: Path
) -> None:
    agent = program("sleep 1000 & echo $! > child; wait")
    told = perform(agent, PowerAction.OFF, 4.0)
    assert not told.ok and "took longer than" in told.why
    child = int((tmp_path / "child").read_text())
    # A signal is sent before it has its effect.
    end_s, pause = time.monotonic() + LONG_S, threading.Event()
    while not ended(child):
        assert time.monotonic() < end_s
        pause.wait(0.01)


def test_debians_dummy_speaks_the_same_language(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("on")
    dummy = Path("/usr/sbin/fence_dummy")
    file = secret(tmp_path / "file", str(state))
    agent = known(FenceAgent("fence_local_dummy", (("type", "file"),), (("status_file", file),), dummy))
    assert perform(agent, PowerAction.STATUS, LONG_S) == FenceResult(True, PowerState.ON)
    assert perform(agent, PowerAction.OFF, LONG_S) == FenceResult(True, PowerState.OFF)
    assert state.read_text() == "off"
    assert perform(agent, PowerAction.ON, LONG_S).ok and state.read_text() == "on"
    failing = FenceAgent("fence_local_dummy", (("plug", "1"), ("power_timeout", "1"), ("type", "fail")), (), dummy)
    told = perform(failing, PowerAction.OFF, 8.0)
    assert not told.ok and told.power is not PowerState.OFF


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        (FenceAgent("fence_nobody_made"), "`fence_nobody_made` is no fence agent of Debian"),
        (FenceAgent("/bin/sh"), "`/bin/sh` is a path, and only the node file names programs"),
        (
            FenceAgent("/usr/sbin/fence_ipmilan"),
            "`/usr/sbin/fence_ipmilan` is a path, and only the node file names programs",
        ),
        (FenceAgent("fence_dummy"), "`fence_dummy` switches no power"),
        (
            FenceAgent("fence_local_ups"),
            "[fence_agents] of the node file does not say which program fence_local_ups is",
        ),
        (
            FenceAgent("fence_local_ups", program=Path("/nowhere/fence_x")),
            "/nowhere/fence_x: No such file or directory",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, FenceAgent) else "",
)
def test_what_is_not_there_or_no_agent_is_not_run(agent: FenceAgent, why: str) -> None:
    assert perform(agent, PowerAction.OFF, 5.0) == FenceResult(False, PowerState.UNKNOWN, why)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ip", "127.0.0.1 '-oProxyCommand=touch {made}'"),
        ("ip", "-oProxyCommand=touch"),
        ("plug", "1;touch {made}"),
        ("username", "$(touch {made})"),
        ("ipport", "22\naction=on"),
        ("ssh_options", "-oProxyCommand=touch"),
        ("ipmitool_path", "{made}"),
    ],
)
def test_an_option_that_a_shell_would_read_reaches_no_agent(
    program: Callable[..., FenceAgent], tmp_path: Path, name: str, value: str
) -> None:
    """Both an agent of Debian that runs shells and a local one; nothing is started at all."""
    made = tmp_path / "made"
    option = (name, value.format(made=made))
    for agent in (FenceAgent("fence_ilo_ssh", (option,)), replace(program("exit 0"), options=(option,))):
        told = perform(agent, PowerAction.STATUS, LONG_S)
        assert not told.ok and f"an option of {agent.name} is not given to it: `{name}` " in told.why
    assert not made.exists() and not (tmp_path / "given").exists()


def test_what_others_may_change_is_not_run(program: Callable[..., FenceAgent], tmp_path: Path) -> None:
    agent = program("exit 0")
    assert agent.program is not None
    agent.program.chmod(0o777)
    assert "is run as root, and others than root may change it" in perform(agent, PowerAction.OFF, 5.0).why
    os.chown(agent.program, 12345, 12345)
    agent.program.chmod(0o755)
    assert "is run as root, and others than root may change it" in perform(agent, PowerAction.OFF, 5.0).why
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("hush", 0o640, "others may read or change this secret (mode 0640)"),
        ("hush", 0o604, "others may read or change this secret (mode 0604)"),
        ("", 0o600, "a secret shorter than 1 bytes"),
        ("two\naction=on", 0o600, "a secret for a fence agent has to be one line of text"),
        ("bell\a", 0o600, "a secret for a fence agent has to be one line of text"),
    ],
)
def test_a_secret_that_is_none_is_not_used(
    program: Callable[..., FenceAgent], tmp_path: Path, text: str, mode: int, why: str
) -> None:
    path = secret(tmp_path / "password", text, mode)
    told = perform(program("exit 0", password=path), PowerAction.OFF, 5.0)
    assert told == FenceResult(False, PowerState.UNKNOWN, f"{path}: {why}")
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("fence_local_tests", {"ip": "192.0.2.1"}, "ip is 192.0.2.1, [power.for] says 10.0.9.12"),
        ("fence_local_tests", {"ssl_insecure": "1"}, "ssl_insecure is 1, [power.for] does not have it"),
        ("fence_local_tests", {"ipport": "18443"}, "ipport is 18443, [power.for] does not have it"),
        ("fence_local_other", {}, "agent is fence_local_other, [power.for] says fence_local_tests"),
        ("fence_local_tests", {"port_as_ip": "1"}, "plug is 7, [power.for] does not have it"),
    ],
)
def test_a_secret_goes_only_to_the_agent_and_host_of_the_node_file(
    program: Callable[..., FenceAgent], tmp_path: Path, name: str, options: dict[str, str], why: str
) -> None:
    agent = program('echo "Status: ON"', password=secret(tmp_path / "password", "Vixen-4711"))
    assert perform(agent, PowerAction.STATUS, LONG_S) == FenceResult(True, PowerState.ON)
    (tmp_path / "given").unlink()
    changed = replace(agent, name=name, options=tuple({**dict(agent.options), **options}.items()))
    told = perform(changed, PowerAction.STATUS, LONG_S)
    assert not told.ok and why in told.why and "write into [power.for] of the node file" in told.why
    assert not (tmp_path / "given").exists(), "the agent was started"
    # Outlets and times may change; without a secret nothing is bound.
    free = replace(agent, options=(("ip", "10.0.9.12"), ("plug", "8"), ("power_timeout", "9")))
    assert perform(free, PowerAction.STATUS, LONG_S).ok
    assert perform(replace(changed, secrets=(), bound=()), PowerAction.STATUS, LONG_S).ok


def test_without_a_word_of_the_node_file_no_agent_gets_a_secret(
    program: Callable[..., FenceAgent], tmp_path: Path
) -> None:
    agent = program("exit 0", password=secret(tmp_path / "password", "Vixen-4711"))
    told = perform(replace(agent, bound=()), PowerAction.OFF, LONG_S)
    assert "the node file does not say which agent its secrets are for" in told.why
    assert 'agent = "fence_local_tests", ip = "10.0.9.12"' in told.why
