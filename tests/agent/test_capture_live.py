"""capture on random states of the real kernel: what it writes, planned on the same controller, changes nothing."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.agent.apply import propose
from reconciler.agent.source.content import compile_content
from reconciler.core.planning.render import render_plan
from reconciler.core.spec.capture import capture
from reconciler.system.netlink.live_network import LiveNetwork
from tests.system.network.namespaces import in_namespace, plug_in

NICS = ("e0", "e1", "e2")
LINKS = (*NICS, "br0", "br1")
LINK = st.sampled_from(LINKS)
IPV4 = st.builds("10.{}.0.{}/{}".format, st.integers(0, 3), st.integers(1, 9), st.sampled_from([8, 16, 24, 30, 32]))
IPV6 = st.builds("fd00:{}::{}/{}".format, st.integers(0, 3), st.integers(1, 9), st.sampled_from([48, 64, 127, 128]))
NETWORK = st.sampled_from(["default", "10.90.0.0/16", "10.91.2.0/24", "172.16.0.0/12", "10.0.0.7/32"])
GATEWAY = st.builds("10.{}.0.{}".format, st.integers(0, 3), st.integers(1, 9))
COMMAND = st.one_of(
    st.builds("link set {} mtu {}".format, LINK, st.sampled_from([576, 1280, 1400, 1500, 9000])),
    st.builds("link set {} {}".format, LINK, st.sampled_from(["up", "up", "up", "down"])),
    st.builds("link set {} alias {}".format, LINK, st.sampled_from(["rack-4", "hagit old CriticalGroup1"])),
    st.builds("link set {} master {}".format, st.sampled_from(NICS), st.sampled_from(["br0", "br1"])),
    st.builds("address add {} dev {}".format, IPV4, LINK),
    st.builds("address add {} dev {} nodad".format, IPV6, LINK),
    st.builds("address add {} dev {} scope link".format, IPV4, LINK),
    st.builds("route add {} via {}".format, NETWORK, GATEWAY),
    st.builds("route add {} via {} metric {} proto static".format, NETWORK, GATEWAY, st.integers(1, 300)),
    st.builds("route add {} dev {} metric {}".format, NETWORK, LINK, st.integers(1, 300)),
    st.builds("-6 route add fd00:9::/64 via fd00:{}::{}".format, st.integers(0, 3), st.integers(1, 9)),
)
#: So that most of what follows is possible.
BEGIN = ("link add br0 type bridge", "link add br1 type bridge stp_state 1", *(f"link set {link} up" for link in LINKS))


@given(st.lists(COMMAND, min_size=5, max_size=30))
@settings(max_examples=settings.default.max_examples * 2 // 5)
def test_planning_what_was_captured_from_the_kernel_changes_nothing(commands: list[str]) -> None:
    def run() -> tuple[str, str]:
        plug_in(*NICS)
        batch = "\n".join((*BEGIN, *commands))
        # What the kernel refuses is left out; what it takes is a state that can be.
        subprocess.run(["ip", "-force", "-batch", "-"], input=batch, text=True, check=False, capture_output=True)
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            (place / "hostname").write_text("scenario\n")
            with closing(LiveNetwork(place / "hostname", place / "resolv.conf", root=place)) as network:
                text = capture(network.observe(), "a", "scenario", "")
                plan = propose(
                    compile_content({"pair.yaml": text.encode()}, "a"), "main@" + "0" * 40, network.observe()
                )
        return text, render_plan(plan, color=False, width=100)

    text, shown = in_namespace(run)
    assert shown.startswith("No changes."), f"{shown}\n{text}"
