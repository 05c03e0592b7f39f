"""Remotes behind a network: a real sshd, known and unknown host keys, servers that hang."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import HostKeyRefused, RemoteUnreachable, SourceError, UnsupportedSource
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.remote import Access, Remote, places_of
from tests.system.repositories import Work
from tests.system.servers import SecureShell, https_server, make_key, silent_server, ssh_server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureShell]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def remote_with(sshd: SecureShell, work: Work, tmp_path: Path) -> Callable[..., Remote]:
    work.commit(a__yaml="x: 1\n")
    sshd.known(tmp_path / "known_hosts")

    def make(path: Path | None = None, **access: Path | None) -> Remote:
        chosen = {"ssh_key_file": sshd.client_key, "known_hosts_file": tmp_path / "known_hosts"} | access
        url = sshd.url(path or work.path)
        return Remote(url, "office", Access(**chosen, hosts=places_of([url])))

    return make


def refused(mirror: Mirror, remote: Remote, timeout_s: float = 10) -> SourceError:
    with pytest.raises(SourceError) as caught:
        mirror.fetch([remote], "main", timeout_s)
    return caught.value


def test_a_known_host_serves(mirror: Mirror, work: Work, remote_with: Callable[..., Remote]) -> None:
    assert mirror.fetch([remote_with()], "main", 20).commit == work.git("rev-parse", "HEAD")
    commit = work.commit(a__yaml="x: 2\n")
    assert mirror.fetch([remote_with()], "main", 20).commit == commit == mirror.head


def test_a_hashed_entry_and_the_short_form_of_a_url(
    mirror: Mirror, work: Work, sshd: SecureShell, tmp_path: Path, remote_with: Callable[..., Remote]
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(tmp_path / "known_hosts")], check=True, capture_output=True)
    assert b"127.0.0.1" not in (tmp_path / "known_hosts").read_bytes()
    assert mirror.fetch([remote_with()], "main", 20).commit


def test_an_unknown_host_key_is_refused_with_the_way_to_add_it(
    mirror: Mirror, sshd: SecureShell, tmp_path: Path, remote_with: Callable[..., Remote]
) -> None:
    (tmp_path / "empty").write_text("")
    for file in (tmp_path / "empty", tmp_path / "absent"):
        error = refused(mirror, remote_with(known_hosts_file=file))
        assert isinstance(error, HostKeyRefused) and "is not known" in error.what and error.where == "office"
        assert f"ssh-keyscan -p {sshd.port} 127.0.0.1 >> {file}" in error.remedy
        assert mirror.head is None
    command = error.remedy.partition("#")[0]
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert mirror.fetch([remote_with(known_hosts_file=tmp_path / "absent")], "main", 20).commit, "the remedy works"


def test_a_wrong_host_key_is_refused_differently(
    mirror: Mirror, sshd: SecureShell, tmp_path: Path, remote_with: Callable[..., Remote]
) -> None:
    sshd.known(tmp_path / "known_hosts", make_key(tmp_path / "impostor"))
    error = refused(mirror, remote_with())
    assert isinstance(error, HostKeyRefused) and "another server answers" in error.what
    assert "ssh-keygen -R" in error.remedy


def test_a_key_that_is_not_let_in(mirror: Mirror, tmp_path: Path, remote_with: Callable[..., Remote]) -> None:
    error = refused(mirror, remote_with(ssh_key_file=make_key(tmp_path / "stranger")))
    assert "does not accept our credentials" in error.what and "node file" in error.remedy


def test_a_key_that_others_can_read_or_that_is_missing(
    mirror: Mirror, tmp_path: Path, remote_with: Callable[..., Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path / "open")
    key.chmod(0o644)
    error = refused(mirror, remote_with(ssh_key_file=key))
    assert "can be read by others" in error.what and error.remedy == f"chmod 600 {key}"
    assert "cannot read" in refused(mirror, remote_with(ssh_key_file=tmp_path / "gone")).what
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert "asks for an SSH key" in refused(mirror, remote_with(ssh_key_file=None)).what


def test_other_defects_look_the_same_through_the_network(
    mirror: Mirror, make_work: Callable[..., Work], tmp_path: Path, remote_with: Callable[..., Remote]
) -> None:
    other = make_work("other", "--object-format=sha256")
    other.commit(a__yaml="")
    error = refused(mirror, remote_with(other.path))
    assert isinstance(error, UnsupportedSource) and "SHA-256" in error.what
    empty = refused(mirror, remote_with(make_work("empty").path))
    assert isinstance(empty, UnsupportedSource) and "empty" in empty.what
    missing = refused(mirror, remote_with(tmp_path / "gone"))
    assert "no repository" in missing.what, missing


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-Slow\r\n"], ids=["mute", "half a greeting"])
@pytest.mark.parametrize("scheme", ["ssh://git@", "https://"])
def test_a_remote_that_accepts_and_hangs_ends_in_time(mirror: Mirror, scheme: str, greeting: bytes) -> None:
    with silent_server(greeting) as port:
        began = time.monotonic()
        error = refused(mirror, Remote(f"{scheme}127.0.0.1:{port}/x.git"), timeout_s=1)
    assert time.monotonic() - began < 60
    assert isinstance(error, SourceError) and error.where
    if not greeting:
        assert isinstance(error, RemoteUnreachable), error


def test_a_remote_that_says_a_little_for_ever_is_cut_off(mirror: Mirror) -> None:
    with silent_server(drip=b"x\r\n") as port:
        began = time.monotonic()
        error = refused(mirror, Remote(f"ssh://git@127.0.0.1:{port}/x.git"), timeout_s=1)
    assert time.monotonic() - began < 60
    assert isinstance(error, RemoteUnreachable)


def test_https_by_a_certificate_that_is_named(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    commit = work.commit(a__yaml="1")
    with https_server(tmp_path) as server:
        trusting = Access(ca_file=server.certificate)
        fetched = mirror.fetch([Remote(server.url(work.path / ".git"), "web", trusting)], "main", 20)
        assert fetched.commit == commit == mirror.head
        error = refused(mirror, Remote(server.url(work.path / ".git"), "web"))
        assert "certificate" in error.what and "CA" in error.remedy and error.where == "web"
        address = refused(mirror, Remote(server.url(work.path / ".git", "127.0.0.1"), "web", trusting))
        assert "certificate that names this address" in address.remedy
        absent = refused(mirror, Remote(server.url(tmp_path / "gone"), "web", trusting))
        assert "no repository" in absent.what, absent
        gone = refused(mirror, Remote(server.url(work.path), "web", Access(ca_file=tmp_path / "gone")))
        assert "no such CA file" in gone.what


def test_https_by_a_certificate_for_another_name(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    work.commit(a__yaml="1")
    with https_server(tmp_path, name="other.example") as server:
        remote = Remote(server.url(work.path / ".git"), "web", Access(ca_file=server.certificate))
        assert "for another name" in refused(mirror, remote).what and mirror.head is None


def test_https_with_a_token_from_a_file(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    commit = work.commit(a__yaml="1")
    token = tmp_path / "token"
    token.write_text("ada:s3cret-token\n")
    token.chmod(0o600)
    with https_server(tmp_path, token="ada:s3cret-token") as server:
        url = server.url(work.path / ".git")
        access = Access(ca_file=server.certificate, token_file=token, hosts=places_of([url]))
        assert mirror.fetch([Remote(url, "web", access)], "main", 20).commit == commit
        assert "asks who we are" in refused(mirror, Remote(url, "web", Access(ca_file=server.certificate))).what
        token.write_text("ada:wr0ng-token")
        error = refused(mirror, Remote(url, "web", access))
        assert "does not accept" in error.what and "wr0ng" not in str(error)
        token.chmod(0o644)
        assert "can be read by others" in refused(mirror, Remote(url, "web", access)).what
    written = b"".join(file.read_bytes() for file in mirror.path.rglob("*") if file.is_file())
    assert b"s3cret" not in written


def test_a_server_that_sends_a_byte_at_a_time_is_killed_at_the_deadline(mirror: Mirror, tmp_path: Path) -> None:
    with https_server(tmp_path, stalls=True) as server:
        began = time.monotonic()
        error = refused(mirror, Remote(server.url(tmp_path), "web", Access(ca_file=server.certificate)), timeout_s=1)
    assert time.monotonic() - began < 60
    assert isinstance(error, RemoteUnreachable) and error.what == "no answer within 1 s"


def test_the_next_remote_serves_after_one_that_hangs(mirror: Mirror, work: Work) -> None:
    commit = work.commit(a__yaml="1")
    with silent_server() as port:
        hung = Remote(f"ssh://git@127.0.0.1:{port}/x", "hung")
        fetched = mirror.fetch([hung, work.remote("spare")], "main", 1)
    assert fetched.commit == commit and fetched.fallback
    assert "in time" in str(fetched.refused[0].why) or "within 1 s" in str(fetched.refused[0].why)


def test_nobody_there_and_no_such_name(mirror: Mirror) -> None:
    for url in ("ssh://git@127.0.0.1:9/x", "https://127.0.0.1:9/x", "https://hagit-test.invalid/x.git"):
        error = refused(mirror, Remote(url), timeout_s=5)
        assert isinstance(error, RemoteUnreachable), error


def test_a_token_goes_to_no_host_that_only_a_commit_names(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    work.commit(a__yaml="1")
    token = tmp_path / "token"
    token.write_text("ada:s3cret-token\n")
    token.chmod(0o600)
    with https_server(tmp_path, token="ada:s3cret-token") as server:
        url = server.url(work.path / ".git")
        for hosts in (frozenset(), frozenset({"git.example.org:443"}), frozenset({"localhost:443"})):
            access = Access(ca_file=server.certificate, token_file=token, hosts=hosts)
            error = refused(mirror, Remote(url, "web", access))
            assert f"localhost:{server.port} asks who we are, and gets neither key nor token" in error.what
            assert f'hosts = ["localhost:{server.port}"]' in error.remedy
        assert server.asked and not any(server.asked), "the token was sent"


def test_a_redirect_to_another_host_takes_no_token_along(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    commit = work.commit(a__yaml="1")
    token = tmp_path / "token"
    token.write_text("ada:s3cret-token\n")
    token.chmod(0o600)
    with https_server(tmp_path, token="ada:s3cret-token") as far:
        (tmp_path / "near").mkdir()
        with https_server(tmp_path / "near", redirects=f"https://localhost:{far.port}") as near:
            together = tmp_path / "both.pem"
            together.write_bytes(far.certificate.read_bytes() + near.certificate.read_bytes())
            url = near.url(work.path / ".git")
            bound = Access(ca_file=together, token_file=token, hosts=places_of([url]))
            assert f"localhost:{far.port} asks who we are" in refused(mirror, Remote(url, "web", bound)).what
            assert far.asked and not any(far.asked), "the token went along"
            both = replace(bound, hosts=places_of([url, far.url(work.path)]))
            assert mirror.fetch([Remote(url, "web", both)], "main", 20).commit == commit


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("https://ada:t0ken@git.example/x.git", "https://***@git.example/x.git"),
        ("https://t0ken@git.example/x.git", "https://***@git.example/x.git"),
        ("https://git.example/x.git?private_token=t0ken", "https://git.example/x.git"),
        ("ssh://git@git.example/x.git", "ssh://git@git.example/x.git"),
        ("ssh://git:t0ken@git.example/x.git", "ssh://***@git.example/x.git"),
    ],
)
def test_no_token_in_a_url_is_used_or_printed(mirror: Mirror, url: str, printed: str) -> None:
    assert str(Remote(url)) == printed
    if "***" in printed:
        error = refused(mirror, Remote(url))
        assert "t0ken" not in str(error) and printed in str(error)
