"""What keeps clients undisturbed while their virtual address moves to the other controller.

    guard             ClientGuard: the steps of a release and of a takeover, for the watchdog's worker
    services          which addresses and ports the shares are served at
    port_filter       PortFilter: drops packets to and from these silently, by nftables
    socket_diagnosis  SocketDiagnosis: lists the TCP sockets of the services, and destroys them (sock_diag(7))
    connections       the clients' connections as a file on the state filesystem
    tickle            one packet to each client of the file, after which it connects again at once

While an address moves, the kernel would answer a packet for a port without a listener with a RST or an ICMP error, and
the client would wait seconds before it tries again. Silence costs it nothing: TCP repeats the packet. Nothing here
starts a server or moves an address.
"""
