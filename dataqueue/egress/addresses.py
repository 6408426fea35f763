"""Which addresses are public, and which carry another one inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# Never public. `ipaddress` knows most of them, but not the same ones in every version of Python.
FORBIDDEN: Final = _networks(
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4"),
    # Azure's host, which answers every machine there with what that machine is.
    "168.63.129.16/32",
    *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32"),
    *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)
# What "private" stands for where the operator allows it: machines of one's own.
PRIVATE: Final = _networks(
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
)
# Where clouds hand out credentials, within those: nobody's handler is there.
METADATA: Final = _networks("100.100.100.200/32", "fd00:ec2::/32", "fd20:ce::254/128")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
_COMPATIBLE, _NAT64, _LOCAL_NAT64 = _networks("::/96", "64:ff9b::/96", "64:ff9b:1::/48")


def address_of(text: str) -> Address:
    """The address, an IPv4 one where it is only mapped into IPv6. ValueError for what is none or has a scope."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a scope")
        return address.ipv4_mapped or address
    return address


def embedded_in(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a packet to this one may come out at."""
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    is_isatap = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    if is_isatap or is_within(address, (_COMPATIBLE, _NAT64, _LOCAL_NAT64)):
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds it; one of the other version never does."""
    return any(address in network for network in networks)


def is_public(address: Address) -> bool:
    """Whether the internet reaches one machine by it, and nothing else does."""
    if is_within(address, FORBIDDEN) or not address.is_global or address.is_multicast:
        return False
    return address.version == 4 or address in _GLOBAL_UNICAST
