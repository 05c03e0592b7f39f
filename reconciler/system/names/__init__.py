"""Publishing the virtual host name.

tsig_keys     which key of the node file may go to which server, and the key itself
dns_update    address records by RFC 2136, signed by RFC 8945
avahi         the announcement by mDNS, through the D-Bus interface of avahi-daemon
"""
