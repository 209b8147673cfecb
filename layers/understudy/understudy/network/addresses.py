"""Which addresses Understudy may connect to: only those of the public internet."""

from __future__ import annotations

import ipaddress

from understudy.settings import settings

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the prefix of an IPv4 address inside an IPv6 address
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA gives to networks; the rest is special or not in use
# Special parts of it (IANA's registry of special-purpose addresses): Teredo and other protocols, documentation, 6to4,
# documentation again.
_SPECIAL = [ipaddress.IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_ISATAP = {0x00005EFE, 0x02005EFE}  # RFC 5214: stands before an IPv4 address inside an IPv6 address


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
        ip = ip.ipv4_mapped or nat64 or ip
    if not _is_public(ip):
        raise Forbidden(f"{address} is not a public address")


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(ip, ipaddress.IPv6Address):
        special = any(ip in network for network in _SPECIAL) or (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP
        return ip in _UNICAST and ip.is_global and not special
    return ip.is_global and not ip.is_multicast
