"""`hagit enroll` on two controllers with a cable between them, as processes: what people see, and who is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.cli.enroll_code import join_any, read_code
from reconciler.errors import PeerError, UsageError
from reconciler.system.peer.code_exchange import WrongCode, host_exchange
from tests.controller import ROOT, Controller, controller_at, resource
from tests.ports import kept_port
from tests.system.peer.test_enrolment import CODE, in_thread, own
from tests.wait import DEADLINE_S


class Cabled(NamedTuple):
    """Both controllers; link i0 is the cable between them."""

    a: Controller
    b: Controller


@pytest.fixture
def cabled(tmp_path: Path) -> Iterator[Cabled]:
    with ExitStack() as stack:
        made = [stack.enter_context(controller_at(tmp_path / name, nics=0)) for name in "ab"]
        a, b = made
        b.letter = "b"
        ends = ("netns", str(a.machine.holder.pid)), ("netns", str(b.machine.holder.pid))
        veth = ["ip", "link", "add", "i0", *ends[0], "type", "veth", "peer", "name", "i0", *ends[1]]
        subprocess.run(veth, check=True, timeout=DEADLINE_S)
        for one in made:
            # Without optimistic addresses, a new link-local address could not be used for a second.
            one.machine.run("sysctl", "-qw", "net.ipv6.conf.i0.accept_dad=0")
            one.ip("link set i0 up")
            (one.root / "serial").write_text(f"SERIAL-{one.letter.upper()}\n")
            one.write_node()
            one.node.write_text(one.node.read_text().replace("[files]", "[files]\nserial = 'serial'"))
        yield Cabled(a, b)


class Hosting:
    """`hagit enroll` that shows a code."""

    def __init__(self, controller: Controller, *words: str) -> None:
        self.process = subprocess.Popen(
            controller.argv("enroll", "--show", *words), cwd=ROOT, env=controller.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        self.code = first.removeprefix("Code: ")[:9]
        self.process.stdout.readline()

    def end(self) -> tuple[int, str]:
        """Exit status and the rest of the output."""
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out

    def stop(self) -> None:
        """End it, if a test has failed before its end."""
        if self.process.poll() is None:
            self.process.terminate()
            self.end()


YES_A, YES_B = ("--yes", "--expect-serial", "SERIAL-A"), ("--yes", "--expect-serial", "SERIAL-B")


def test_a_code_makes_a_pair_and_the_agents_speak(cabled: Cabled) -> None:
    host = Hosting(cabled.a, *YES_B)
    done = cabled.b.hagit("enroll", host.code, *YES_A)
    assert done.code == 0, done
    status, said = host.end()
    assert status == 0, said
    words = [text.partition("Words:  ")[2].splitlines()[0] for text in (done.out, said)]
    assert words[0] == words[1] and len(words[0].split()) == 4
    assert "Found controller a, serial 'SERIAL-A'" in done.out and "at fe80::" in done.out
    again = cabled.a.hagit("enroll")
    assert again.code == 1 and "is enrolled with controller b, serial 'SERIAL-B'" in again.err
    assert "hagit enroll --replace SERIAL-B" in again.err
    assert "not 'X'" in cabled.a.hagit("enroll", "--replace", "X").err


def test_wrong_guesses_use_the_code_up(cabled: Cabled) -> None:
    host = Hosting(cabled.a, *YES_B)
    wrong = f"{(int(host.code.replace(' ', '')) + 1) % 10**8:08d}"
    for _ in range(3):
        done = cabled.b.hagit("enroll", wrong, *YES_A)
        assert done.code == 1 and "the code does not fit" in done.err, done
    status, said = host.end()
    assert status == 1 and "the code is used up: three wrong guesses" in said
    assert "a wrong code from fe80::" in said and "2 tries are left" in said


def test_without_a_yes_nothing_is_kept(cabled: Cabled) -> None:
    host = Hosting(cabled.a, *YES_B)
    done = cabled.b.hagit("enroll", host.code)
    assert done.code == 1 and "Nothing was kept, here or there" in done.out
    status, said = host.end()
    assert status == 1 and "controller b said no" in said
    assert not (cabled.a.state / "peer/identity.json").exists()


def test_another_serial_than_the_expected_one_or_the_one_in_the_pair(cabled: Cabled) -> None:
    host = Hosting(cabled.a, *YES_B)
    done = cabled.b.hagit("enroll", host.code, "--yes", "--expect-serial", "SERIAL-C")
    assert done.code == 1 and "has the serial number 'SERIAL-A'; 'SERIAL-C' is expected" in done.err
    pair = resource("Pair", "shelf", "{a: {hostname: x, serial: SERIAL-A}, b: {hostname: y, serial: SERIAL-C}}")
    cabled.b.work.commit("Name the machines", pair__yaml=pair.removeprefix("---\n"))
    cabled.b.hagit("plan")
    done = cabled.b.hagit("enroll", host.code, *YES_A)
    assert done.code == 1 and "has the serial number 'SERIAL-B', and the Pair names 'SERIAL-C'" in done.err
    host.stop()


def test_files_and_fingerprints_where_no_network_leads(cabled: Cabled) -> None:
    prints = []
    for one in cabled:
        done = one.hagit("enroll", "--offer", str(one.root / "offer"))
        assert done.code == 0, done
        prints.append(done.out.rpartition("--fingerprint ")[2].strip())
    a, b = cabled
    take = ("enroll", "--file", str(b.root / "offer"), "--fingerprint")
    wrong = a.hagit(*take, prints[0], *YES_B)
    assert wrong.code == 1 and "another fingerprint" in wrong.err
    assert a.hagit(*take, prints[1], *YES_B).code == 0
    assert b.hagit("enroll", "--file", str(a.root / "offer"), "--fingerprint", prints[0], *YES_A).code == 0
    assert not (a.state / "peer/offer.json").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--yes",), "--yes skips the comparison"),
        (("1234",), "this is no code"),
        (("--file", "x"), "belong together"),
        (("12345678", "--show"), "leave the option out"),
        (("--replace", "X"), "no peer that could be replaced"),
        (("12345678", "--to", "127.0.0.1"), "no enrolment waits there"),
    ],
)
def test_a_command_line_that_makes_no_sense(cabled: Cabled, words: tuple[str, ...], what: str) -> None:
    done = cabled.a.hagit("enroll", *words)
    assert done.code == 1 and what in done.err, done


def test_a_code_as_people_type_it() -> None:
    assert read_code(" 1234-5678 ") == read_code("1234 5678") == "12345678"
    with pytest.raises(UsageError):
        read_code("١٢٣٤٥٦٧٨")


def test_a_third_machine_that_answers_first_gets_one_guess_and_is_passed_over() -> None:
    """It shows another code, as it does not know ours; the joiner goes on to the next machine."""
    import socket

    with kept_port() as held:
        port = held.getsockname()[1]
        third, host = (socket.create_server((address, port)) for address in ("127.0.0.2", "127.0.0.3"))
        errors: list[Exception] = []

        def answer(listener: socket.socket, code: str) -> None:
            try:
                host_exchange(listener.accept()[0], code, own("a"), lambda other: None).stream.close()
            except PeerError as error:
                errors.append(error)

        with third, host:
            threads = [in_thread(lambda: answer(third, "87654321")), in_thread(lambda: answer(host, CODE))]
            exchange = join_any(["127.0.0.2", "127.0.0.3"], port, CODE, own("b"), lambda other: None)
            for thread in threads:
                thread.join(DEADLINE_S)
    assert exchange is not None and exchange.remote == "127.0.0.3"
    assert [type(error) for error in errors] == [WrongCode]
    exchange.stream.close()
