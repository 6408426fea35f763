"""What may be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dataqueue.egress.addresses import METADATA, PRIVATE, Address, Network, embedded_in, is_public, is_within

_PORTS: Final = {"https": frozenset({443, 8443, 8080}), "http": frozenset({80, 8080})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Public addresses over https, and what the operator adds or takes away.

    The first that speaks of an address decides: `own_addresses` and `denied_networks` refuse it, `allowed_networks` and
    `allow_private` let it pass, and then it has to be public.
    """

    allow_http: bool = False
    # Loopback and private networks, and every port. Link-local addresses and those of metadata services stay out.
    allow_private: bool = False
    allowed_networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()
    # Where we listen, and the database and Redis; without a port, the whole machine. The unspecified address (0.0.0.0
    # or ::) stands for this machine's loopback addresses: name its other ones, if it has any.
    own_addresses: frozenset[tuple[Address, int | None]] = frozenset()
    extra_ports: frozenset[int] = frozenset()

    def allows_scheme(self, scheme: str) -> bool:
        """Whether to speak that at all."""
        return scheme == "https" or (scheme == "http" and self.allow_http)

    def allows_port(self, scheme: str, port: int) -> bool:
        """Whether that port may be called by that scheme."""
        return self.allow_private or port in _PORTS[scheme] or port in self.extra_ports

    def allows(self, address: Address, port: int) -> bool:
        """Whether to connect there. A mapped IPv4 address, and what an address embeds, is judged as well."""
        inner = tuple(embedded_in(address))
        if self._is_own(address, port) or is_within(address, self.denied_networks):
            return False
        if not all(self.allows(one, port) for one in inner):
            return False
        if is_within(address, self.allowed_networks):
            return True
        if self.allow_private and is_within(address, PRIVATE) and not is_within(address, METADATA):
            return True
        return is_public(address)

    def _is_own(self, address: Address, port: int) -> bool:
        for own, own_port in self.own_addresses:
            if own_port in {None, port}:
                here = address.is_loopback or address.is_unspecified
                if address == own or (own.is_unspecified and here):
                    return True
        return False
