"""The node file: read whole, every wrong key named."""

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.facts.scope import Scope
from reconciler.errors import NodeFileError
from reconciler.system.node import DEADMAN, WatchdogNode, find_node_file, load_node
from reconciler.system.node_files import files_of
from reconciler.system.node_listen import Listen
from reconciler.system.node_text import render_node
from reconciler.system.secret import carp_passwords, pair_keyring, pair_secret


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


def password(watchdog: WatchdogNode) -> bytes:
    """The password that CARP is spoken with: the first one."""
    return carp_passwords(watchdog, pair_keyring(watchdog)[0])[0]


def test_everything_has_a_default_but_the_controller(tmp_path: Path) -> None:
    node = load_node(write(tmp_path, 'controller = "a"\n'))
    assert node.controller == "a"
    assert node.state == Path("/var/lib/hagit")
    assert node.source.branch == "main" and node.source.remotes == ()
    assert node.trust.unsigned == "accept"
    assert node.listen == Listen("127.0.0.1", 9723)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = """
controller = "b"
state = "state-b"
listen = false
[source]
remotes = ["/srv/pair.git", "ssh://git@host/pair.git"]
known_hosts = "known_hosts"
[trust]
allowed_signers = "signers"
[files]
hostname = "etc/hostname"
"""
    node = load_node(write(tmp_path, text))
    assert node.state == tmp_path / "state-b"
    assert node.source.known_hosts == tmp_path / "known_hosts"
    assert node.source.remotes == ("/srv/pair.git", "ssh://git@host/pair.git")
    assert node.trust.allowed_signers == tmp_path / "signers"
    assert node.trust.unsigned == "refuse", "whoever names signers wants signatures"
    assert node.hostname_file == tmp_path / "etc/hostname"
    assert node.listen is None


def test_without_its_table_there_is_no_watchdog(tmp_path: Path) -> None:
    assert load_node(write(tmp_path, 'controller = "a"\n')).watchdog is None


def test_the_watchdogs_table(tmp_path: Path) -> None:
    table = 'controller = "a"\n[watchdog]\nsecret = "pair.secret"\nshelf = "simulated:/run/shelf.sock"\n'
    least = load_node(write(tmp_path, table)).watchdog
    assert least is not None
    assert (least.secret, least.shelf, least.carp_password, least.run) == (
        tmp_path / "pair.secret", "simulated:/run/shelf.sock", None, Path("/run/hagit"),
    )  # fmt: skip
    assert least.deadman == DEADMAN and least.group in ("hagit", "root")
    more = 'carp_password = "carp"\nrun = "run"\ndeadman = "/dev/watchdog1"\ngroup = "storage"\n'
    assert load_node(write(tmp_path, table + more)).watchdog == WatchdogNode(
        tmp_path / "pair.secret", "simulated:/run/shelf.sock", tmp_path / "carp", tmp_path / "run",
        Path("/dev/watchdog1"), "storage",
    )  # fmt: skip
    without = load_node(write(tmp_path, table + "deadman = false\n")).watchdog
    assert without is not None and without.deadman is None


def test_the_password_of_carp_follows_from_the_secret_unless_given(tmp_path: Path) -> None:
    for name, content in (("pair.secret", "0123456789abcdef" * 4 + "\n"), ("carp", "walnut\n")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    watchdog = WatchdogNode(tmp_path / "pair.secret", "simulated:/x")
    assert pair_secret(watchdog) == b"0123456789abcdef" * 4
    derived = password(watchdog)
    assert len(derived) == 19 and derived.isalnum() and derived == password(watchdog)
    assert password(replace(watchdog, carp_password=tmp_path / "carp")) == b"walnut"
    (tmp_path / "pair.secret").write_text("0123456789abcdef" * 4 + "!")
    assert password(watchdog) != derived
    (tmp_path / "pair.secret").write_text("x" * 31)
    with pytest.raises(NodeFileError, match="a secret shorter than 32 bytes"):
        password(watchdog)


KEY = "0123456789ABCDEF0123456789ABCDEF01234567"
SCOPES = 'controller = "a"\n[trust]\nallowed_signers = "x"\n[trust.scopes]\n'
WATCHDOG = 'controller = "a"\n[watchdog]\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "`controller` is missing"),
        ('controller = "c"', "`controller` has a value that does not fit: 'c'"),
        ('controller = "a"\nstaet = "x"', "`staet` is not known here"),
        ('controller = "a"\n[source]\nremote = "x"', "`source.remote` is not known here"),
        ('controller = "a"\n[source]\nremotes = "x"', "`remotes` has a value that does not fit"),
        ('controller = "a"\n[trust]\nunsigned = "refuse"', "no allowed_signers and no keyring"),
        ('controller = "a"\n[listen]\nport = 70000', "`port` has a value that does not fit: 70000"),
        ('controller = "a"\nsource = 1', "`source` must be a table"),
        (SCOPES + '"a@b" = ["disks"]', "`trust.scopes.a@b` must be a list of network, storage"),
        (SCOPES + '"a@b" = "network"', "`trust.scopes.a@b` must be a list"),
        (SCOPES + '"a@b" = [1]', "`trust.scopes.a@b` must be a list"),
        (SCOPES + '"0xDEADBEEF01234567" = ["all"]', "is no whole fingerprint"),
        (SCOPES + '"DEADBEEF01234567" = ["all"]', "is no whole fingerprint"),
        (SCOPES + f'"{KEY}" = []\n"{KEY.lower()}" = ["all"]', "is named twice"),
        (SCOPES + '"" = ["all"]', "is no signer"),
        (SCOPES.replace("[trust.", 'unsigned = "warn"\n[trust.') + "default = []", 'needs unsigned = "refuse"'),
        ('controller = "a"\n[trust]\n[trust.scopes]\ndefault = []', 'needs unsigned = "refuse"'),
        (
            'controller = "a"\n[trust]\nallowed_signers = "x"\nscopes = ["all"]',
            "`scopes` has a value that does not fit",
        ),
        (WATCHDOG + 'shelf = "simulated:/x"', "`watchdog.secret` is missing"),
        (WATCHDOG + 'secret = "x"', "`watchdog.shelf` is missing"),
        (WATCHDOG + 'secret = "x"\nshelf = "/dev"', "`shelf` has a value that does not fit: '/dev'"),
        (WATCHDOG + 'secret = "x"\nshelf = "a:b"\ndeadman = true', "`deadman` has a value that does not fit: True"),
        (WATCHDOG + 'secret = "x"\nshelf = "a:b"\ngroup = ""', "`group` has a value that does not fit: ''"),
        (WATCHDOG + 'secret = "x"\nshelf = "a:b"\ncarp = 1', "`watchdog.carp` is not known here"),
        ('controller = "a"\nwatchdog = false', "`watchdog` must be a table"),
        ("controller = ", "not TOML"),
        ("\xff", "not TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NodeFileError) as caught:
        load_node(path)
    assert says in str(caught.value) and str(path) in str(caught.value)


def test_scopes_of_signers(tmp_path: Path) -> None:
    spaced = " ".join(KEY[at : at + 4] for at in range(0, 40, 4)).lower()
    lines = f'default = []\n"ops@example.org" = ["network", "storage"]\n"{spaced}" = ["all"]\n'
    scopes = load_node(write(tmp_path, SCOPES + lines)).trust.scopes
    assert scopes is not None and scopes.default == frozenset()
    assert scopes.of({"ops@example.org"}) == {Scope.NETWORK, Scope.STORAGE}
    assert scopes.of({KEY}) == {*Scope}
    assert load_node(write(tmp_path, SCOPES.replace("[trust.scopes]", ""))).trust.scopes is None


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(NodeFileError, match="there is no node file here") as caught:
        load_node(tmp_path / "none.toml")
    assert "hagit init" in caught.value.remedy


def test_what_is_rendered_can_be_read(tmp_path: Path) -> None:
    text = render_node(
        {
            "controller": "a",
            "state": 'st\\a"te',
            "source": {"remotes": ["/x y", "/z"], "branch": "trunk"},
            "listen": {"port": 0},
        }
    )
    node = load_node(write(tmp_path, text))
    assert node.source.remotes == ("/x y", "/z") and node.source.branch == "trunk"
    assert node.state == tmp_path / 'st\\a"te'
    assert node.listen == Listen("127.0.0.1", 0)


def test_the_file_is_found_by_flag_environment_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAGIT_NODE", raising=False)
    assert find_node_file(None) == Path("/etc/hagit/node.toml")
    monkeypatch.setenv("HAGIT_NODE", "/x.toml")
    assert find_node_file(None) == Path("/x.toml")
    assert find_node_file(Path("/y.toml")) == Path("/y.toml")


def test_whose_the_secrets_are(tmp_path: Path) -> None:
    """Hosts of key and token, and the agent of the passwords: as fence agents read values."""
    text = 'controller = "a"\n[source]\nhosts = ["git.example.org", "[fd00::1]:8443"]\n[power]\npassword = "bmc"\n'
    node = load_node(write(tmp_path, text + '[power.for]\nagent = "fence_ipmilan"\nip = "10.0.9.12"\nlanplus = true\n'))
    assert node.source.hosts == ("git.example.org", "[fd00::1]:8443")
    assert node.power == (("password", tmp_path / "bmc"),)
    assert node.power_for == (("agent", "fence_ipmilan"), ("ip", "10.0.9.12"), ("lanplus", "1"))
    for wrong in ('[source]\nhosts = ["https://git"]\n', "[power.for]\nip = [1]\n", "[power]\nfor = 1\n"):
        with pytest.raises(NodeFileError):
            load_node(write(tmp_path, 'controller = "a"\n' + wrong))


def test_keys_of_dns_updates_are_files_for_servers(tmp_path: Path) -> None:
    text = 'controller = "a"\n[tsig]\nshelf1 = "tsig/one"\n"two.example.org" = "/etc/hagit/two"\n'
    node = load_node(write(tmp_path, f'{text}[tsig.for]\nshelf1 = ["10.0.0.2", "fd00::2"]\n'))
    assert node.tsig == (("shelf1", tmp_path / "tsig/one"), ("two.example.org", Path("/etc/hagit/two")))
    assert node.tsig_for == (("shelf1", ("10.0.0.2", "fd00::2")),)
    assert tmp_path / "tsig/one" in files_of(node), "no dataset may cover it, and no repository may name it"
    for wrong in (
        '[tsig]\n"a b" = "x"', "[tsig]\na = 1", "[tsig]\nfor = 1", "tsig = 1", '[tsig.for]\na = "10.0.0.2"',
        '[tsig.for]\na = ["ns.example.org"]', '[tsig.for]\na = ["10.0.0.2:53"]', "[tsig.for]\na = [1]",
    ):  # fmt: skip
        with pytest.raises(NodeFileError, match=r"tsig|`a`"):
            load_node(write(tmp_path, f'controller = "a"\n{wrong}\n'))


def test_secrets_of_targets_are_files_by_name(tmp_path: Path) -> None:
    watchdog = '[watchdog]\nsecret = "s"\nshelf = "simulated:/x"\n'
    text = 'controller = "a"\n[chap]\nhypervisor1 = "chap/one"\nold = "/etc/hagit/old"\n'
    node = load_node(write(tmp_path, text + watchdog))
    assert node.watchdog is not None
    assert node.watchdog.chap == (("hypervisor1", tmp_path / "chap/one"), ("old", Path("/etc/hagit/old")))
    assert tmp_path / "chap/one" in files_of(node), "no dataset may cover it, and no repository may name it"
    assert load_node(write(tmp_path, text)).watchdog is None
    for wrong in ('"a/b" = "x"', '"../x" = "x"', "a = 1", "a = true", '[chap.a]\nb = "x"'):
        with pytest.raises(NodeFileError, match=r"chap|`a`"):
            load_node(write(tmp_path, f'controller = "a"\n[chap]\n{wrong}\n{watchdog}'))
