"""Which files of a controller a commit may name for alerts: none that is another secret, a link, or elsewhere."""

from pathlib import Path

import pytest

from reconciler.system.alerts.target_secrets import target_refusal
from reconciler.system.alerts.targets import AlertmanagerTarget, ChatTarget, WebhookTarget
from reconciler.system.node import load_node
from tests.agent.receivers import Hook, secret
from tests.agent.test_drift import STORAGE
from tests.controller import Controller, resource
from tests.wait import until

NODE = """\
controller = "a"
[source]
token = "secrets/git.token"
[power]
password = "secrets/bmc"
[alerts]
secrets = "secrets"
hosts = ["hooks.example.org", "[fd00::1]:8443"]
[watchdog]
secret = "secrets/pair"
shelf = "simulated:x"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text(NODE)
    made = tmp_path / "secrets"
    (made / "below").mkdir(parents=True)
    for name in ("mail", "below/hook", "pair", "pair.next", "git.token", "bmc", "../elsewhere"):
        secret(made / name)
    (made / "link").symlink_to("pair")
    (made / "out").symlink_to("..")
    return made


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mail", ""),
        ("below/hook", ""),
        ("../elsewhere", "is not below"),
        ("below/../../elsewhere", "is not below"),
        ("below/../mail", "is not below"),
        ("", "is not below"),
        ("link", "symbolic link"),
        ("out/elsewhere", "symbolic link"),
        ("pair", "is a secret of this controller"),
        ("pair.next", "is a secret of this controller"),
        ("git.token", "is a secret of this controller"),
        ("bmc", "is a secret of this controller"),
    ],
)
def test_files_that_a_commit_may_name(folder: Path, name: str, why: str) -> None:
    node, file = load_node(folder.parent / "node.toml"), f"{folder}/{name}"
    for target in (
        ChatTarget(file),
        WebhookTarget("https://hooks.example.org/x", file),
        WebhookTarget("", None, url_file=file),
    ):
        said = target_refusal(node, target)
        assert (why in said and file in said) if why else said == ""


def test_a_signed_webhook_goes_only_to_the_hosts_of_the_node_file(folder: Path) -> None:
    node, key = load_node(folder.parent / "node.toml"), str(folder / "mail")
    for url in ("https://hooks.example.org/x", "http://hooks.example.org:1/x", "https://[fd00::1]:8443/x"):
        assert target_refusal(node, WebhookTarget(url, key)) == ""
    for url in ("https://evil.example/t0ken", "https://[fd00::1]/x", "https://hooks.example.org.evil.example/x"):
        assert "does not name this host" in (said := target_refusal(node, WebhookTarget(url, key)))
        assert "t0ken" not in said
        assert target_refusal(node, WebhookTarget(url)) == target_refusal(node, AlertmanagerTarget(url)) == ""


def test_other_targets_get_alerts_and_the_refused_one_is_named(controller: Controller, hook: Hook) -> None:
    """The URL with a token stands in a file; another webhook reaches for a file that is none of its."""
    file = secret(controller.root / "hook.url")
    file.write_text(hook.url + "\n")
    elsewhere = secret(controller.root.parent / "elsewhere")
    webhooks = f"{{urlFile: {file}}}, {{url: 'https://hook.example', secretFile: {elsewhere}}}"
    text = resource("Alerting", "alerts", f"{{webhooks: [{webhooks}]}}")
    commit = controller.work.commit("Alerts", net__yaml=STORAGE + text)
    controller.start_agent()
    controller.until_applied(commit)
    note = f"no alerts go to {elsewhere} is not below {controller.root}"
    until(lambda: any(note in one for one in controller.status()["notes"]), controller.status)
    controller.ip("address del 10.0.0.1/24 dev e0")
    until(lambda: ("firing", "address 10.0.0.1/24 of e0") in hook.events(), hook.events)
    kept = b"".join(path.read_bytes() for path in controller.state.rglob("*") if path.is_file())
    assert hook.url.encode() not in kept
