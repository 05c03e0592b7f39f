"""The control socket: who may ask, what is refused, and that no caller can hold up the loop that serves it."""

import json
import os
import re
import selectors
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ControlError
from reconciler.system.control import CONNECTION_COUNT_MAX, CONNECTION_S_MAX, REQUEST_BYTES_MAX, ControlServer, client
from reconciler.system.control_protocol import (
    Caller,
    ControlAnswer,
    ControlRequest,
    RequestKind,
    answer_from_line,
    answer_line,
    request_document,
    request_from_line,
)
from tests.wait import until

#: Debian's `nobody` and `daemon`, and the group `daemon`: on every machine.
NOBODY, DAEMON, GROUP = 65534, 1, "daemon"
#: Imports first: the interpreter itself may lie where only root can read.
ASK = """
import os, sys
from pathlib import Path
from reconciler.system.control import client
from reconciler.system.control_protocol import ControlRequest, RequestKind
path, uid, *groups = sys.argv[1:]
os.setgroups([int(group) for group in groups])
os.setgid(65534)
os.setuid(int(uid))
print(client(Path(path), ControlRequest(RequestKind.STATUS)).text)
"""


names = st.sampled_from(["request", "status", "drill", "word", "note", "end", "enabled", "count", "duration_ms"])
values = names | st.integers() | st.booleans() | st.floats() | st.none() | st.text(max_size=5)


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5)


def dumped(document: object) -> bytes:
    return json.dumps(document).encode()


class Served:
    """A server in a loop of its own, as a daemon has one."""

    def __init__(self, path: Path, group: str | None) -> None:
        self.requests: list[ControlRequest] = []
        self.answer = ControlAnswer(True, "OK", "as you wish")
        self.turns = 0
        self.server = ControlServer(path, group, self._decide)
        self._near, self._far = socket.socketpair()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _decide(self, request: ControlRequest) -> ControlAnswer:
        self.requests.append(request)
        return self.answer

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.server, selectors.EVENT_READ)
            selector.register(self._near, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(0.2)}
                if self._near in ready:
                    return
                self.server.serve()
                self.turns += 1

    def close(self) -> None:
        self._far.send(b"!")
        self._thread.join(10)
        self.server.close()
        self._near.close()
        self._far.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where other users may look, too: pytest's own directories are closed to them."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    return tmp_path


@pytest.fixture
def serve(directory: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(group: str | None = None) -> Served:
        made.append(Served(directory / "watchdog.sock", group))
        return made[-1]

    yield make
    for served in made:
        served.close()


def ask_as(path: Path, uid: int, groups: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Ask as another user, in another process."""
    return subprocess.run(
        [sys.executable, "-c", ASK, str(path), str(uid), *map(str, groups)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_request_arrives_whole_and_is_answered(serve: Callable[..., Served], directory: Path) -> None:
    served = serve()
    asked = ControlRequest(RequestKind.MAINTENANCE, duration_ms=1_800_000)
    answer = client(directory / "watchdog.sock", asked)
    assert (answer.accepted, answer.code, answer.text) == (True, "OK", "as you wish")
    assert served.requests == [asked]
    assert served.requests[0].caller == Caller(os.getpid(), 0, 0)


def test_an_answer_larger_than_the_sockets_buffer(serve: Callable[..., Served], directory: Path) -> None:
    served = serve()
    served.answer = ControlAnswer(True, document={"events": ["x" * 500] * 4_000})
    assert client(directory / "watchdog.sock", ControlRequest(RequestKind.TIMELINE)).document == served.answer.document


def test_mode_and_group(serve: Callable[..., Served], directory: Path) -> None:
    serve(GROUP)
    found = (directory / "watchdog.sock").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, 1)


def test_without_a_group_only_root(serve: Callable[..., Served], directory: Path) -> None:
    serve()
    assert stat.S_IMODE((directory / "watchdog.sock").stat().st_mode) == 0o600


def test_another_user_is_refused_and_a_member_is_not(serve: Callable[..., Served], directory: Path) -> None:
    served = serve(GROUP)
    path = directory / "watchdog.sock"
    refused = ask_as(path, NOBODY)
    assert refused.returncode == 1
    assert "you may not talk to the watchdog" in refused.stderr
    member = ask_as(path, NOBODY, (1,))
    assert (member.returncode, member.stdout) == (0, "as you wish\n"), member.stderr
    assert [request.caller.uid for request in served.requests] == [NOBODY]


def test_the_mode_of_the_file_is_not_the_only_guard(serve: Callable[..., Served], directory: Path) -> None:
    served = serve(GROUP)
    path = directory / "watchdog.sock"
    path.chmod(0o666)
    assert re.fullmatch(rf"user {NOBODY} \(pid \d+\) may not use this socket\n", ask_as(path, NOBODY).stdout)
    assert not served.requests


def test_nobody_serves(directory: Path) -> None:
    path = directory / "watchdog.sock"
    for _ in range(2):
        with pytest.raises(ControlError, match="does not run") as caught:
            client(path, ControlRequest(RequestKind.STATUS))
        assert str(path) in str(caught.value)
        # The second time, one that was killed has left its socket behind.
        if not path.exists():
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(path))


def test_a_leftover_is_replaced_and_a_living_server_is_not(serve: Callable[..., Served], directory: Path) -> None:
    path = directory / "watchdog.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    serve()
    assert client(path, ControlRequest(RequestKind.STATUS)).accepted
    with pytest.raises(ControlError, match="another watchdog serves"):
        ControlServer(path, None, lambda request: ControlAnswer(True))
    assert client(path, ControlRequest(RequestKind.STATUS)).accepted


def test_the_file_goes_with_the_server(directory: Path) -> None:
    path = directory / "watchdog.sock"
    ControlServer(path, None, lambda request: ControlAnswer(True)).close()
    assert not path.exists()


def test_a_group_that_is_not_there(directory: Path) -> None:
    with pytest.raises(ControlError, match="no group 'no-such-group'"):
        ControlServer(directory / "watchdog.sock", "no-such-group", lambda request: ControlAnswer(True))


def test_a_directory_that_is_not_there(directory: Path) -> None:
    with pytest.raises(ControlError, match="cannot serve this socket: No such file or directory"):
        ControlServer(directory / "no" / "watchdog.sock", None, lambda request: ControlAnswer(True))


def test_a_watchdog_that_hangs(directory: Path) -> None:
    path = directory / "watchdog.sock"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        with pytest.raises(ControlError, match=r"not answered within 0\.2 s"):
            client(path, ControlRequest(RequestKind.STATUS), 0.2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "ended before it answered"),
        (b"pong\n", "does not understand"),
        (b"[]\n", "does not understand"),
        (b'{"accepted":1,"code":"","text":"","document":{}}\n', "does not understand"),
    ],
)
def test_an_answer_of_another_version(directory: Path, line: bytes, says: str) -> None:
    path = directory / "watchdog.sock"
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(str(path))
        strange.listen()

        def answer() -> None:
            accepted, _ = strange.accept()
            accepted.recv(4096)
            accepted.sendall(line)
            accepted.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ControlError, match=says):
            client(path, ControlRequest(RequestKind.STATUS))
        thread.join(10)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"hello", "not a line of JSON"),
        (b"[" * 10_000, "not a line of JSON"),
        (b"[]", "a JSON object"),
        (b"{}", "no request 'None'"),
        (b'{"request":["status"]}', "no request"),
        (b'{"request":"reboot"}', "no request 'reboot'"),
        (b'{"request":"status","caller":{"uid":0}}', "no field 'caller'"),
        (b'{"request":"maintenance","duration_ms":-1}', "'duration_ms'"),
        (b'{"request":"maintenance","duration_ms":true}', "'duration_ms'"),
        (b'{"request":"maintenance","duration_ms":1e3}', "'duration_ms'"),
        (b'{"request":"maintenance","duration_ms":99999999999999}', "'duration_ms'"),
        (b'{"request":"override","enabled":1}', "'enabled'"),
        (b'{"request":"force-activate","word":"' + b"x" * 201 + b'"}', "'word'"),
        (rb'{"request":"drill","note":"\u001b[2J"}', "'note'"),
        (rb'{"request":"drill","note":"\ud800"}', "'note'"),
        (b'{"request":"timeline","count":' + b"9" * 5_000 + b"}", "not a line of JSON"),
    ],
)
def test_requests_that_are_none(line: bytes, says: str) -> None:
    refusal = request_from_line(line)
    assert isinstance(refusal, str)
    assert says in refusal


@given(st.binary(max_size=200) | st.recursive(values, lambda inner: containers(inner)).map(dumped))
def test_no_line_raises(line: bytes) -> None:
    assert isinstance(request_from_line(line), ControlRequest | str)
    assert answer_from_line(line) is None or isinstance(answer_from_line(line), ControlAnswer)


@pytest.mark.parametrize("kind", RequestKind)
def test_every_request_survives_the_way(kind: RequestKind) -> None:
    asked = ControlRequest(kind, "storage-a", 60_000, end=True, enabled=True, count=20, note="switchover 9000 ms")
    assert request_from_line(json.dumps(request_document(asked)).encode()) == asked


def test_every_answer_survives_the_way() -> None:
    answer = ControlAnswer(False, "NOT_ACTIVE", "this controller is not active", {"reasons": ["…"]})
    assert answer_from_line(answer_line(answer)) == answer


def raw(path: Path, content: bytes, *, close: bool = True) -> bytes:
    """Send bytes and read all that comes."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(20)
        caller.connect(str(path))
        try:
            caller.sendall(content)
            if close:
                caller.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        received = b""
        try:
            while found := caller.recv(65_536):
                received += found
        except ConnectionResetError:
            pass
        return received


def test_bad_lines_are_answered(serve: Callable[..., Served], directory: Path) -> None:
    served = serve()
    path = directory / "watchdog.sock"
    assert b"not a line of JSON" in raw(path, b"\xff\xfe\n")
    assert b"at most 65536 bytes" in raw(path, b"x" * (REQUEST_BYTES_MAX + 1))
    assert raw(path, b"") == b""
    assert raw(path, b'{"request":"sta') == b""
    assert not served.requests
    assert client(path, ControlRequest(RequestKind.STATUS)).accepted


def test_a_caller_that_says_nothing_is_sent_away(serve: Callable[..., Served], directory: Path) -> None:
    serve()
    began_s = time.monotonic()
    assert raw(directory / "watchdog.sock", b'{"request":', close=False) == b""
    assert time.monotonic() - began_s >= CONNECTION_S_MAX - 0.1


def is_closed(caller: socket.socket) -> bool:
    """Whether the server closed a connection. The kernel resets one whose last words were not read (unix(7))."""
    try:
        return caller.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_crowd_that_says_nothing_gives_way_to_the_next_caller(serve: Callable[..., Served], directory: Path) -> None:
    """The oldest of the crowd is closed for it, and only that one."""
    served = serve()
    path = directory / "watchdog.sock"
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTION_COUNT_MAX)]
    try:
        for one in crowd:
            one.settimeout(10)
            one.connect(str(path))
            one.sendall(b"{")
        assert client(path, ControlRequest(RequestKind.STATUS)).accepted
        assert len(served.requests) == 1
        assert is_closed(crowd[0])
        crowd[1].sendall(b'"request":"status"}\n')
        assert b'"accepted":true' in crowd[1].recv(4_096)
    finally:
        for one in crowd:
            one.close()


def test_another_user_does_not_take_the_place_of_root(serve: Callable[..., Served], directory: Path) -> None:
    serve(GROUP)
    path = directory / "watchdog.sock"
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTION_COUNT_MAX)]
    try:
        for one in crowd:
            one.settimeout(10)
            one.connect(str(path))
            one.sendall(b"{")
        assert ask_as(path, NOBODY, (1,)).stdout == "too many requests at once; try again\n"
        crowd[0].sendall(b'"request":"status"}\n')
        assert b'"accepted":true' in crowd[0].recv(4_096)
    finally:
        for one in crowd:
            one.close()


def test_a_caller_that_does_not_read_holds_nobody_up(serve: Callable[..., Served], directory: Path) -> None:
    served = serve()
    served.answer = ControlAnswer(True, document={"events": ["x" * 500] * 4_000})
    path = directory / "watchdog.sock"
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(path))
        lazy.sendall(b'{"request":"timeline"}\n')
        assert client(path, ControlRequest(RequestKind.TIMELINE)).accepted
        # Both may have come in one turn of the loop, this one first.
        until(lambda: len(served.requests) == 2)


def test_a_server_at_rest_does_nothing(serve: Callable[..., Served], directory: Path) -> None:
    served = serve()
    assert client(directory / "watchdog.sock", ControlRequest(RequestKind.STATUS)).accepted
    turns, began_s = served.turns, time.monotonic()
    while served.turns == turns:
        assert time.monotonic() < began_s + 10
    # One turn for each timeout of the loop: nothing stays readable when nobody asks.
    assert served.turns - turns <= 2


def test_another_server_goes_on_with_the_socket(directory: Path) -> None:
    """Who connected before the old one ended is answered by the new one, and the file stays."""
    path = directory / "watchdog.sock"
    old = ControlServer(path, None, lambda request: ControlAnswer(False, "OLD"))
    listener = socket.socket(fileno=os.dup(old.listener))
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    waiting.connect(str(path))
    waiting.sendall(b'{"request":"status"}\n')
    old.hand_over()
    old.close()
    assert path.exists()
    new = ControlServer(path, None, lambda request: ControlAnswer(True, "NEW"), listener)
    waiting.settimeout(10)
    for _ in range(3):
        new.serve()
    assert b"NEW" in waiting.recv(1_000)
    waiting.close()
    new.close()
    assert not path.exists()
