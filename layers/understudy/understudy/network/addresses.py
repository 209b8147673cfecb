"""Which addresses Understudy may connect to: only those of the public internet."""

from __future__ import annotations

import ipaddress

from understudy.settings import settings

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the prefix of an IPv4 address inside an IPv6 address


class Forbidden(Exception):
    """Understudy must not connect to this address: it is loopback, private, link-local, metadata or the like."""


def check(address: str) -> None:
    """Check that an IP address is on the public internet, unless the local stack allows private networks.

    Raises Forbidden if the address is not public, and ValueError if `address` is not an IP address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if settings().allow_private_networks:
        return
    if isinstance(ip, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        inner = ip.ipv4_mapped or ip.sixtofour or nat64
        if ip.is_site_local or (inner is not None and not inner.is_global):
            raise Forbidden(f"{address} is not a public address")
    if not ip.is_global or ip.is_multicast:
        raise Forbidden(f"{address} is not a public address")
