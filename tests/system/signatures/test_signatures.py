"""Commits signed by real keys of every kind, verified by the real tools."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.core.facts.settings import UnsignedPolicy
from reconciler.errors import NodeFileError, SignatureRefused
from reconciler.system.git.history import advance, signed_part
from reconciler.system.git.mirror import Mirror
from reconciler.system.signatures import TrustFiles, judge, remembered, require, to_remember, verify
from reconciler.system.signing.openpgp import read_status
from reconciler.system.signing.verdict import (
    BadSignature,
    Expired,
    RevokedKey,
    Scheme,
    SignedPart,
    Unsigned,
    Untrusted,
    Unverifiable,
    Verdict,
    Verified,
)
from tests.system.repositories import Work
from tests.system.servers import make_key

ROOT = Path(__file__).parents[3]
BEFORE = "2019-06-01T12:00:00+0000"
AFTER = "2021-06-01T12:00:00+0000"


@dataclass
class Rings:
    """OpenPGP keys by their first name, the home they were made in, and their public half for the verifier."""

    home: Path
    public: Path

    def gpg(self, *arguments: str, stdin: str = "") -> str:
        argv = ["gpg", "-q", "--batch", "--passphrase", "", "--homedir", str(self.home), *arguments]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True).stdout

    def fingerprint(self, name: str) -> str:
        listing = self.gpg("--with-colons", "--list-keys", f"{name}@example.org")
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))


@pytest.fixture(scope="session")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rings]:
    # The agent's socket lies in the home, and a socket's path is short.
    home = Path(tempfile.mkdtemp(prefix="hg"))
    made = Rings(home, tmp_path_factory.mktemp("public") / "keys.asc")
    past = ("--faked-system-time", "20200101T000000")
    for name, expiry, when in (
        ("good", "never", ()),
        ("late", "2020-12-31", past),
        ("gone", "never", ()),
        ("odd", "never", ()),
    ):
        made.gpg(*when, "--quick-gen-key", f"{name.title()} <{name}@example.org>", "ed25519", "sign", expiry)
    revocation = (home / "openpgp-revocs.d" / f"{made.fingerprint('gone')}.rev").read_text()
    exported = [f"{name}@example.org" for name in ("good", "late", "gone")]
    ring = Rings(Path(tempfile.mkdtemp(prefix="hg")), made.public)
    ring.gpg("--import", stdin=made.gpg("--armor", "--export", *exported))
    ring.gpg("--import", stdin=revocation.replace(":-----BEGIN", "-----BEGIN"))
    made.public.write_text(ring.gpg("--armor", "--export"))
    yield made
    for directory in (home, ring.home):
        subprocess.run(["gpgconf", "--homedir", str(directory), "--kill", "all"], check=True)
        # Its agent takes its own sockets away at the same time.
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Bench:
    """A repository, a mirror, and the keys; `verdict` is the one on a commit made by `ssh` or `gpg`."""

    work: Work
    mirror: Mirror
    keys: Path
    trust: TrustFiles

    def key(self, name: str) -> Path:
        file = self.keys / name
        return file if file.exists() else make_key(file)

    def allow(self, *lines: str) -> None:
        """Lines of allowed_signers, `{name}` standing for a public key."""
        names = ("alice", "bob", "mallory")
        public = {name: " ".join(self.key(name).with_suffix(".pub").read_text().split()[:2]) for name in names}
        assert self.trust.allowed_signers is not None
        self.trust.allowed_signers.write_text("".join(line.format(**public) + "\n" for line in lines))

    def ssh(self, name: str, when: str = AFTER) -> str:
        self.work.git(
            *("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key(name)}", "commit", "-q", "--allow-empty"),
            *("-S", "-m", f"by {name}"),
            GIT_COMMITTER_DATE=when,
        )
        return self.work.git("rev-parse", "HEAD")

    def gpg(self, rings: Rings, name: str, *options: str) -> str:
        program = self.keys / "signer"
        program.write_text(f'#!/bin/sh\nexec gpg --homedir {rings.home} {" ".join(options)} "$@"\n')
        program.chmod(0o755)
        self.work.git(
            *("-c", f"gpg.program={program}", "-c", f"user.signingkey={name}@example.org", "commit", "-q"),
            *("--allow-empty", "-S", "-m", f"by {name}"),
        )
        return self.work.git("rev-parse", "HEAD")

    def part(self, commit: str) -> SignedPart:
        self.mirror.fetch([self.work.remote()], "main", 20)
        return signed_part(self.mirror, commit)

    def verdict(self, commit: str, trust: TrustFiles | None = None) -> Verdict:
        return verify([self.part(commit)], trust or self.trust, timeout_s=20)[commit]


@pytest.fixture
def bench(work: Work, mirror: Mirror, tmp_path: Path) -> Bench:
    keys = tmp_path / "keys"
    keys.mkdir()
    made = Bench(work, mirror, keys, TrustFiles(allowed_signers=tmp_path / "allowed_signers"))
    made.allow('alice@example.org namespaces="git" {alice}', 'bob@example.org,rob valid-before="20200101" {bob}')
    return made


def test_ssh_by_a_trusted_key(bench: Bench) -> None:
    verdict = bench.verdict(bench.ssh("alice"))
    fingerprint = subprocess.run(["ssh-keygen", "-lf", bench.key("alice")], capture_output=True, text=True, check=True)
    assert verdict == Verified("alice@example.org", Scheme.SSH, fingerprint.stdout.split()[1])


def test_ssh_by_a_stranger(bench: Bench) -> None:
    verdict = bench.verdict(bench.ssh("mallory"))
    assert isinstance(verdict, Untrusted) and verdict.fingerprint.startswith("SHA256:")
    assert "is not in" in verdict.why and verdict.fingerprint in verdict.why


def test_a_key_in_the_repository_counts_nothing(bench: Bench) -> None:
    public = bench.key("mallory").with_suffix(".pub").read_text()
    for name in ("allowed_signers", ".allowed_signers", ".git-allowed-signers"):
        bench.work.write(name, f"mallory@example.org {public}".encode())
    bench.work.git("add", "-A")
    bench.work.git("config", "gpg.ssh.allowedSignersFile", "allowed_signers")
    assert isinstance(bench.verdict(bench.ssh("mallory")), Untrusted)


def test_unsigned(bench: Bench) -> None:
    assert bench.verdict(bench.work.commit(a__yaml="1")) == Unsigned()


def test_ssh_at_the_commits_own_time(bench: Bench) -> None:
    before, after = bench.ssh("bob", BEFORE), bench.ssh("bob", AFTER)
    assert isinstance(bench.verdict(before), Verified)
    verdict = bench.verdict(after)
    assert isinstance(verdict, Expired) and "valid-before" in verdict.why


def test_ssh_key_of_the_future_is_not_valid_early_by_a_future_date(bench: Bench) -> None:
    bench.allow('alice@example.org valid-after="20900101" {alice}')
    verdict = bench.verdict(bench.ssh("alice", "2091-06-01T12:00:00+0000"))
    assert isinstance(verdict, Expired) and "not" in verdict.why and "valid" in verdict.why


def test_ssh_with_a_revoked_key(bench: Bench, tmp_path: Path) -> None:
    commit = bench.ssh("alice")
    revoked = tmp_path / "revoked"
    shutil.copy(bench.key("alice").with_suffix(".pub"), revoked)
    verdict = bench.verdict(commit, TrustFiles(bench.trust.allowed_signers, revoked))
    assert verdict == RevokedKey(f"the key of alice@example.org stands in {revoked}")
    shutil.copy(bench.key("bob").with_suffix(".pub"), revoked)
    assert isinstance(bench.verdict(commit, TrustFiles(bench.trust.allowed_signers, revoked)), Verified)


def test_ssh_for_another_purpose(bench: Bench) -> None:
    bench.allow('alice@example.org namespaces="file" {alice}')
    assert isinstance(bench.verdict(bench.ssh("alice")), Untrusted)


def test_a_signature_of_another_commit(bench: Bench) -> None:
    first, second = bench.part(bench.ssh("alice")), bench.part(bench.ssh("alice", BEFORE))
    forged = SignedPart("f" * 40, first.signature, second.payload, first.time_s)
    assert isinstance(verify([forged], bench.trust, timeout_s=20)["f" * 40], BadSignature)


def test_garbage_in_place_of_a_signature(bench: Bench) -> None:
    armour = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    pgp = b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    x509 = b"-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----\n"
    signatures = {"a": armour, "b": pgp, "c": x509, "d": armour * 2000, "e": b""}
    parts = [SignedPart(name, signature, b"payload", 0) for name, signature in signatures.items()]
    verdicts = verify(parts, TrustFiles(bench.trust.allowed_signers, None, bench.trust.allowed_signers), timeout_s=20)
    assert isinstance(verdicts["a"], BadSignature)
    assert isinstance(verdicts["b"], Unverifiable | BadSignature)
    assert verdicts["c"] == Untrusted("its signature is neither SSH nor OpenPGP") == verdicts["e"]
    assert isinstance(verdicts["d"], BadSignature) and "longer" in verdicts["d"].why


def test_openpgp(bench: Bench, rings: Rings) -> None:
    trust = TrustFiles(openpgp_keys=rings.public)
    assert bench.verdict(bench.gpg(rings, "good"), trust) == Verified(
        "good@example.org", Scheme.OPENPGP, rings.fingerprint("good")
    )
    expired = bench.verdict(bench.gpg(rings, "late", "--faked-system-time", "20200601T000000"), trust)
    assert isinstance(expired, Expired) and "late@example.org" in expired.why
    revoked = bench.verdict(bench.gpg(rings, "gone"), trust)
    assert isinstance(revoked, RevokedKey) and "gone@example.org" in revoked.why
    stranger = bench.verdict(bench.gpg(rings, "odd"), trust)
    assert isinstance(stranger, Untrusted) and "not in the key ring" in stranger.why


def test_openpgp_from_a_binary_key_ring_and_a_forgery(bench: Bench, rings: Rings, tmp_path: Path) -> None:
    binary = tmp_path / "keys.gpg"
    binary.write_bytes(
        subprocess.run(["gpg", "--dearmor"], input=rings.public.read_bytes(), capture_output=True, check=True).stdout
    )
    trust = TrustFiles(openpgp_keys=binary)
    part = bench.part(bench.gpg(rings, "good"))
    assert isinstance(verify([part], trust, timeout_s=20)[part.commit], Verified)
    forged = SignedPart("f" * 40, part.signature, part.payload + b"more", part.time_s)
    assert verify([forged], trust, timeout_s=20)["f" * 40] == BadSignature("its signature does not fit its content")


def test_two_openpgp_signatures_in_one_prove_nothing() -> None:
    status = "[GNUPG:] GOODSIG 1 Ada <a@b>\n[GNUPG:] VALIDSIG F\n[GNUPG:] ERRSIG 2 22 8 00 1 9 F\n"
    assert isinstance(read_status(status), BadSignature)
    assert isinstance(read_status("[GNUPG:] GOODSIG 1 Ada <a@b>\n"), BadSignature)


def test_a_scheme_without_trust(bench: Bench, rings: Rings) -> None:
    pgp, ssh = bench.part(bench.gpg(rings, "good")), bench.part(bench.ssh("alice"))
    verdicts = verify([pgp, ssh], TrustFiles(), timeout_s=20)
    assert all(isinstance(verdict, Untrusted) for verdict in verdicts.values())


def test_a_tool_that_is_missing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    part = bench.part(bench.ssh("alice"))
    monkeypatch.setenv("PATH", "/nonexistent")
    verdict = verify([part], bench.trust, timeout_s=20)[part.commit]
    assert verdict == Unverifiable("ssh-keygen: not installed, or not in PATH")


def test_no_time_left(bench: Bench) -> None:
    part = bench.part(bench.ssh("alice"))
    assert isinstance(verify([part], bench.trust, timeout_s=-1)[part.commit], Unverifiable)


def test_trust_files_that_others_can_write_or_that_are_missing(bench: Bench, tmp_path: Path) -> None:
    part = bench.part(bench.ssh("alice"))
    assert bench.trust.allowed_signers is not None
    bench.trust.allowed_signers.chmod(0o664)
    with pytest.raises(NodeFileError, match="write themselves"):
        verify([part], bench.trust, timeout_s=20)
    bench.trust.allowed_signers.chmod(0o644)
    os.chown(bench.trust.allowed_signers, 12345, 12345)
    with pytest.raises(NodeFileError, match="write themselves"):
        verify([part], bench.trust, timeout_s=20)
    with pytest.raises(NodeFileError, match="No such file"):
        verify([part], TrustFiles(tmp_path / "gone"), timeout_s=20)


def test_the_whole_range_counts_also_the_other_side_of_a_merge(bench: Bench) -> None:
    accepted = bench.ssh("alice")
    bench.work.git("checkout", "-q", "-b", "side")
    smuggled = bench.ssh("mallory")
    bench.work.git("checkout", "-q", "main")
    bench.ssh("alice")
    bench.work.git(
        *("-c", "gpg.format=ssh", "-c", f"user.signingkey={bench.key('alice')}"),
        *("merge", "-q", "--no-ff", "-S", "-m", "merge", "side"),
    )
    head = bench.mirror.fetch([bench.work.remote()], "main", 20).commit
    new = advance(bench.mirror, accepted, head)
    verdicts = verify([signed_part(bench.mirror, one) for one in new.to_verify], bench.trust, timeout_s=20)
    assert len(verdicts) == 3 and isinstance(verdicts[head], Verified)
    judgement = judge(verdicts, UnsignedPolicy.REFUSE)
    assert [commit for commit, _ in judgement.refused] == [smuggled]
    with pytest.raises(SignatureRefused) as caught:
        require(judgement, head)
    assert smuggled[:12] in str(caught.value) and f"hagit accept-history {head}" in caught.value.remedy
    assert advance(bench.mirror, None, head).to_verify == (head,), "adopting a history asks only its head"
    assert advance(bench.mirror, head, head).to_verify == (), "accepting the head is the way out"


def test_the_policy() -> None:
    verdicts: dict[str, Verdict] = {
        "a": Verified("alice", Scheme.SSH, "F"),
        "b": Unsigned(),
        "c": Untrusted("stranger"),
        "d": Expired("old"),
        "e": BadSignature("forged"),
        "f": RevokedKey("stolen"),
        "g": Unverifiable("no tool"),
    }
    refused = {policy: "".join(commit for commit, _ in judge(verdicts, policy).refused) for policy in UnsignedPolicy}
    assert refused == {UnsignedPolicy.REFUSE: "bcdefg", UnsignedPolicy.WARN: "ef", UnsignedPolicy.ACCEPT: "ef"}
    assert [commit for commit, _ in judge(verdicts, UnsignedPolicy.WARN).warned] == ["b", "c", "d", "g"]
    assert judge(verdicts, UnsignedPolicy.ACCEPT).warned == ()


def test_principals_restrict_who_may_sign() -> None:
    verdicts = {"a": Verified("alice", Scheme.SSH, "SHA256:x")}
    assert not judge(verdicts, UnsignedPolicy.REFUSE, ["alice"]).refused
    assert not judge(verdicts, UnsignedPolicy.REFUSE, ["SHA256:x"]).refused
    assert "not among the trusted" in judge(verdicts, UnsignedPolicy.REFUSE, ["bob"]).refused[0][1]


def test_an_openpgp_key_is_named_by_its_fingerprint() -> None:
    """Anyone can make a key with the user id of another."""
    verdicts = {"a": Verified("ada@example.org", Scheme.OPENPGP, "F" * 40)}
    assert "by its fingerprint, FFFF" in judge(verdicts, UnsignedPolicy.REFUSE, ["ada@example.org"]).refused[0][1]
    assert not judge(verdicts, UnsignedPolicy.REFUSE, ["F" * 40]).refused


def test_openpgp_by_sha1_does_not_count(bench: Bench, rings: Rings) -> None:
    verdict = bench.verdict(bench.gpg(rings, "good", "--digest-algo", "SHA1"), TrustFiles(openpgp_keys=rings.public))
    assert not isinstance(verdict, Verified)
    for number, counts in (("8", True), ("2", False), ("1", False)):
        status = f"[GNUPG:] GOODSIG 1 Ada <a@b>\n[GNUPG:] VALIDSIG F 2026-01-01 1 0 4 0 22 {number} 00 F\n"
        assert isinstance(read_status(status), Verified) is counts


def test_verdicts_are_remembered_until_whom_we_trust_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, rings: Rings
) -> None:
    part, unsigned = bench.part(bench.ssh("alice")), bench.part(bench.work.commit(a__yaml="1"))
    verdicts = verify([part, unsigned], bench.trust, timeout_s=20)
    digest = bench.trust.digest()
    document = json.loads(json.dumps(to_remember(verdicts, digest)))
    known = remembered(document, digest)
    assert known == {part.commit: verdicts[part.commit]}
    monkeypatch.setenv("PATH", "/nonexistent")
    assert verify([part, unsigned], bench.trust, timeout_s=20, known=known) == verdicts, "no tool was needed"
    bench.allow("bob@example.org {bob}")
    assert bench.trust.digest() != digest and remembered(document, bench.trust.digest()) == {}
    for damaged in (None, [], {"format": "hagit.signatures/1"}, {**document, "verified": {"x": {"scheme": "y"}}}):
        assert remembered(damaged, digest) == {}


def test_nothing_is_left_behind(bench: Bench, rings: Rings, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from reconciler.system.signatures import *;"
        "kinds = [b'-----BEGIN SSH SIGNATURE-----', b'-----BEGIN PGP SIGNATURE-----'];"
        "parts = [SignedPart(str(n), kind, b'', 0) for n, kind in enumerate(kinds)];"
        "print(len(verify(parts, TrustFiles(Path(sys.argv[1]), None, Path(sys.argv[2])), timeout_s=20)))"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    argv = [sys.executable, "-c", script, str(bench.trust.allowed_signers), str(rings.public)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n" and list(scratch.iterdir()) == []
