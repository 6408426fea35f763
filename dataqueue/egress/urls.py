"""A URL is read once, here; whoever connects takes the parts from what this made of it."""

from __future__ import annotations

import re
import socket
import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import httpx

from dataqueue.egress.addresses import Address, address_of
from dataqueue.egress.errors import Rule, UrlNotAllowed
from dataqueue.egress.policy import Policy

LONGEST_URL: Final = 2048
LONGEST_HOST: Final = 253
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?]*))?(?P<rest>.*)", re.DOTALL)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# Whoever reads numbers as inet_aton does, takes a name for an address where its last part is one.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
# Full stops of other scripts: IDNA takes them for dots, and NFKC leaves the first as it is.
_STOPS: Final = frozenset("\u3002\uff0e\uff61")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that may be called, as far as one can tell without resolving its host."""

    url: str
    scheme: str
    host: str
    port: int
    # Path and query, as they are sent.
    path: bytes
    # Where the host is an address.
    address: Address | None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, policy: Policy) -> Target:
    """The parts of a URL that the policy lets us call; UrlNotAllowed names the first rule it breaks."""
    scheme, authority = _parts(url)
    if not policy.allows_scheme(scheme):
        raise UrlNotAllowed(Rule.SCHEME)
    written, written_port = _host_and_port(authority)
    host, address = _host(written)
    port = _DEFAULT_PORTS[scheme] if written_port is None else int(written_port)
    parsed = _parsed(url)
    # Two readers that disagree are how a guard is passed: what is no host to one is one to the other.
    read_host = parsed.raw_host.decode("ascii")
    read_host = str(IPv6Address(read_host)) if ":" in read_host else read_host
    if (parsed.scheme, read_host, parsed.port or _DEFAULT_PORTS[scheme], parsed.userinfo) != (scheme, host, port, b""):
        raise UrlNotAllowed(Rule.SYNTAX)
    if not policy.allows_port(scheme, port):
        raise UrlNotAllowed(Rule.PORT)
    if address is not None and not policy.allows(address, port):
        raise UrlNotAllowed(Rule.ADDRESS)
    canonical = str(parsed)
    if len(canonical) > LONGEST_URL:
        raise UrlNotAllowed(Rule.LENGTH)
    return Target(url=canonical, scheme=scheme, host=host, port=port, path=parsed.raw_path, address=address)


def _parts(url: str) -> tuple[str, str]:
    """Scheme and authority, of a URL in which nothing is hidden."""
    if len(url) > LONGEST_URL:
        raise UrlNotAllowed(Rule.LENGTH)
    if any(unicodedata.category(character) in _UNSEEN for character in url):
        raise UrlNotAllowed(Rule.CHARACTERS)
    if "\\" in url:
        raise UrlNotAllowed(Rule.BACKSLASH)
    if "#" in url:
        raise UrlNotAllowed(Rule.FRAGMENT)
    found = _URL.fullmatch(url)
    if found is None:
        raise UrlNotAllowed(Rule.SCHEME)
    if found["scheme"].lower() not in _DEFAULT_PORTS:
        raise UrlNotAllowed(Rule.SCHEME)
    if not found["authority"]:
        raise UrlNotAllowed(Rule.NO_HOST)
    return found["scheme"].lower(), found["authority"]


def _host_and_port(authority: str) -> tuple[str, str | None]:
    if "@" in authority:
        raise UrlNotAllowed(Rule.USER_INFO)
    if "%" in authority:
        raise UrlNotAllowed(Rule.SCOPE if authority.startswith("[") else Rule.ENCODED_HOST)
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        after = authority.rpartition("]")[2]
        raise UrlNotAllowed(Rule.PORT if after.count(":") == 1 else Rule.SYNTAX)
    port: str | None = found["port"]
    if port is not None and not 0 < int(port) < 65536:
        raise UrlNotAllowed(Rule.PORT)
    if not found["host"]:
        raise UrlNotAllowed(Rule.NO_HOST)
    return found["host"], port


def _host(written: str) -> tuple[str, Address | None]:
    """The host as it is connected to, and its address if it is one."""
    if written.startswith("["):
        try:
            written_address = IPv6Address(written[1:-1])
        except ValueError:
            raise UrlNotAllowed(Rule.HOST) from None
        return str(written_address), address_of(str(written_address))
    host = _in_ascii(written).lower()
    if len(host) > LONGEST_HOST:
        raise UrlNotAllowed(Rule.LENGTH)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return host, _dotted_quad(host)
    if not all(map(_LABEL.fullmatch, labels)):
        raise UrlNotAllowed(Rule.HOST)
    if _is_number(host):
        raise UrlNotAllowed(Rule.NUMBER)
    if any(label.startswith("xn--") and not _is_idna(label) for label in labels):
        raise UrlNotAllowed(Rule.FORM)
    return host, None


def _in_ascii(host: str) -> str:
    """The name as DNS has it. Nothing is made to look like ASCII that was not, or that would not stay what it was."""
    if host.isascii():
        return host
    if unicodedata.normalize("NFKC", host) != host or not _STOPS.isdisjoint(host):
        raise UrlNotAllowed(Rule.FORM)
    try:
        return httpx.URL(f"https://{host}/").raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        raise UrlNotAllowed(Rule.FORM) from None


def _is_idna(label: str) -> bool:
    """Whether that encoded label is how the characters it stands for are written."""
    try:
        decoded = httpx.URL(f"https://{label}/").host
        return httpx.URL(f"https://{decoded}/").raw_host.decode("ascii") == label
    except (httpx.InvalidURL, ValueError):
        return False


def _dotted_quad(host: str) -> IPv4Address:
    try:
        return IPv4Address(host)
    except AddressValueError:
        raise UrlNotAllowed(Rule.NUMBER) from None


def _is_number(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise UrlNotAllowed(Rule.SYNTAX) from None
