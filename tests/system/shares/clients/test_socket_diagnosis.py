"""Connections of the service points are listed, and destroyed with all that is left of them."""

import errno
import socket

import pytest

from reconciler.system.shares.clients.connections import ClientConnection
from reconciler.system.shares.clients.services import ServicePoints
from reconciler.system.shares.clients.socket_diagnosis import SocketDiagnosis
from tests.system.network.namespaces import in_namespace, ip
from tests.system.shares.clients.segment import HOST4, HOST6, POINTS, PORT, AnsweringServer, ClientSegment
from tests.wait import until


def test_established_connections_are_listed_with_the_clients(segment: ClientSegment) -> None:
    segment.a.place()
    servers = [AnsweringServer(segment.a, port) for port in (PORT, 3_260, 22)]
    places = [(HOST4, PORT), (HOST6, PORT), (HOST4, 3_260), (HOST4, 22), ("10.0.0.1", PORT)]
    clients = segment.client.inside(lambda: [socket.create_connection(place) for place in places])
    try:

        def look() -> object:
            with SocketDiagnosis() as sockets:
                return sockets.connections(POINTS)

        ports = [client.getsockname()[1] for client in clients]
        # A server that listens at :: has a connection of IPv4 on a socket of IPv6.
        assert segment.a.inside(look) == (
            ClientConnection(HOST4, PORT, "10.0.0.9", ports[0]),
            ClientConnection(HOST4, 3_260, "10.0.0.9", ports[2]),
            ClientConnection(HOST6, PORT, "fd00::9", ports[1]),
        )
    finally:
        for client in clients:
            client.close()
        for server in servers:
            server.close()


def usable(host: str) -> bool:
    """Whether connections reach an address: the kernel sets it up for IPv6 after `ip` has ended."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return probe.connect_ex((host, PORT)) == errno.ECONNREFUSED


@pytest.mark.parametrize("host", [HOST4, HOST6])
@pytest.mark.parametrize("dual", [False, True])
def test_sockets_in_every_state_end_and_listeners_stay(host: str, dual: bool) -> None:
    def run() -> None:
        ip("link set lo up", f"address add {HOST4}/32 dev lo", f"address add {HOST6}/128 dev lo nodad")
        until(lambda: usable(host))
        points = ServicePoints((HOST4, HOST6), (PORT,))
        is6 = dual or ":" in host
        place = ("::" if is6 else "", PORT)
        listener = socket.create_server(
            place, family=socket.AF_INET6 if is6 else socket.AF_INET, dualstack_ipv6=dual, backlog=16
        )
        other = socket.create_server((host, 22), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        stranger = socket.create_connection((host, 22))
        served, _ = other.accept()
        clients = [socket.create_connection((host, PORT)) for _ in range(4)]
        # Accepted and open; half closed by the client; half closed by the server; never accepted.
        accepted = [listener.accept()[0] for _ in range(3)]
        clients[1].shutdown(socket.SHUT_WR)
        accepted[2].shutdown(socket.SHUT_WR)
        with SocketDiagnosis() as sockets:
            assert sockets.check() is None
            # Clients on this controller are not remembered.
            assert sockets.connections(points) == ()
            assert sockets.destroy(points) == 4
            assert sockets.destroy(points) == 0
        for client in clients:
            client.settimeout(5)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                while client.recv(10) == b"":
                    client.send(b"x")
        stranger.sendall(b"x")
        assert served.recv(10) == b"x"
        again = socket.create_connection((host, PORT), 5)
        # The connection that no server accepted is the first in the queue, and dead.
        listener.settimeout(5)
        last = [listener.accept()[0] for _ in range(2)]
        again.sendall(b"y")
        assert last[1].recv(10) == b"y"
        for opened in (listener, other, stranger, served, again, *clients, *accepted, *last):
            opened.close()

    in_namespace(run)


def test_hundreds_of_connections_are_listed_whole() -> None:
    def run() -> None:
        ip("link set lo up", f"address add {HOST4}/32 dev lo", "address add 10.0.0.9/32 dev lo")
        with socket.create_server((HOST4, PORT), backlog=1_024) as listener:
            clients = [socket.create_connection((HOST4, PORT), source_address=("10.0.0.9", 0)) for _ in range(500)]
            ports = sorted(client.getsockname()[1] for client in clients)
            with SocketDiagnosis() as sockets:
                found = until(lambda: sockets.connections(POINTS))
                assert isinstance(found, tuple)
                assert [connection.client_port for connection in found] == ports
                assert sockets.destroy(POINTS) == len(ports)
            for client in clients:
                client.close()
            assert listener.fileno() >= 0

    in_namespace(run)
