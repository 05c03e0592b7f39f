"""Group 10: the plan of an enrolled pair beside that of one controller, both with many interfaces that change."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path
from typing import Final

from reconciler.demo.testbed import Machine, Testbed
from reconciler.system.files import read_json
from reconciler.system.node import load_node
from reconciler.system.peer.identity import write_identity
from tests.bench.crowd import MTU, Nic, desired, make_nics
from tests.bench.figure import Figure, Group
from tests.bench.pair import agent, commit, make_node, make_repository
from tests.bench.stopwatch import HAGIT, Timed, time_in
from tests.system.peer.identities import two_identities

COUNT: Final = 1000
CABLE: Final = {"a": "10.99.0.1", "b": "10.99.0.2"}
WAIT_S: Final = 120.0
ONE, BOTH = "plan, one controller", "plan, the pair"
_INTERLINK: Final = (
    "---\napiVersion: hagit/v1\nkind: Interface\nmetadata: {name: link0}\nspec:\n"
    + "".join(f"  {side}: {{match: {{name: link0}}, address: {address}/24}}\n" for side, address in CABLE.items())
    + "  role: interlink\n"
)
_SOURCE: Final = (
    "---\napiVersion: hagit/v1\nkind: Source\nmetadata: {{name: source}}\n"
    "spec: {{remotes: ['{}'], unsigned: accept, apply: manual}}\n"
)


def measure(directory: Path, runs: int) -> Group:
    """Whole processes on controller a; the agent of b makes its part at the same time."""
    repository = directory / "pair"
    text = desired(COUNT) + _INTERLINK + _SOURCE.format(repository)
    make_repository(repository, {"pair.yaml": text})
    with Testbed() as testbed:
        make_nics(testbed, 0, COUNT)
        _make_cables(testbed["b"])
        environments = {side: _enrolled(testbed[side], directory / side, side, repository) for side in "ab"}
        alone = directory / "alone"
        shutil.copytree(directory / "a", alone)
        shutil.rmtree(alone / "state" / "peer")
        lone = {**environments["a"], "HAGIT_NODE": str(alone / "node.toml")}
        (alone / "node.toml").write_text((alone / "node.toml").read_text().replace(str(directory / "a"), str(alone)))
        apply = Timed("apply", (HAGIT, "apply", "--yes", "--here"))
        for env in (environments["a"], lone):
            time_in(testbed["a"], (apply,), 1, env)
        time_in(testbed["b"], (apply,), 1, environments["b"])
        with agent(testbed["b"], environments["b"], directory / "agent.log"):
            commit(repository, {"pair.yaml": text.replace(f"mtu: {MTU}", f"mtu: {MTU - 100}")})
            head = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True).strip()
            _await(directory / "b" / "state" / "source.json", head)
            count = max(3, runs // 5)
            one = time_in(testbed["a"], (Timed(ONE, (HAGIT, "plan")),), count, lone)[ONE]
            both = time_in(testbed["a"], (Timed(BOTH, (HAGIT, "plan")),), count, environments["a"])[BOTH]
    floor = Figure(ONE, one.wall, note=one.note)
    figure = Figure(BOTH, both.wall, floor=floor.median, floor_name=ONE, aim=1.3, note=both.note)
    notes = (f"{COUNT} interfaces whose MTU changes on both controllers; both share the processors of this machine",)
    return Group("The plan of a pair", (floor, figure), notes)


def _enrolled(machine: Machine, directory: Path, side: str, repository: Path) -> dict[str, str]:
    """A node file with a cable to the peer, and the identity of one side; the environment of its commands."""
    env = make_node(directory, side, repository)
    path = Path(env["HAGIT_NODE"])
    with path.open("a") as file:
        file.write(f"\n[peer]\naddresses = ['{CABLE['b' if side == 'a' else 'a']}']\nlisten = ['{CABLE[side]}']\n")
    write_identity(load_node(path), dict(zip("ab", two_identities(), strict=True))[side])
    machine.ip("link set link0 up", f"address add {CABLE[side]}/24 dev link0")
    return env


def _make_cables(machine: Machine) -> None:
    """The interfaces of controller b."""
    nics = list(map(Nic, range(COUNT)))
    macs = [nic.mac.replace(":01:", ":02:", 1) for nic in nics]
    machine.ip(
        *(
            f"link add {nic.name} address {mac} type veth peer name far{nic.number}"
            for nic, mac in zip(nics, macs, strict=True)
        ),
        *(f"link set far{nic.number} addrgenmode none up" for nic in nics),
    )


def _await(path: Path, commit_id: str) -> None:
    """Wait until the agent of b has read a commit."""
    pause = threading.Event()
    for _ in range(round(WAIT_S / 0.1)):
        document = read_json(path)
        if document and (document.get("good") or {}).get("commit") == commit_id:
            return
        pause.wait(0.1)
    raise RuntimeError("controller b did not read the commit")
