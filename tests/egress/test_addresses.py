"""No address that is not public is called, however it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.egress import Policy, UrlNotAllowed, address_of, check_url
from dataqueue.egress.addresses import embedded_in
from dataqueue.egress.resolving import allowed_addresses
from tests.egress.hostile import FULL_WIDTH

POLICY = Policy(allow_http=True)
# Written out once more, so that a network that is lost from the table is missed.
FORBIDDEN = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32", "::/96", "64:ff9b::/96"),
    *("64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7"),
    *("fe80::/10", "fec0::/10", "ff00::/8"),
)
V4 = [network for text in FORBIDDEN if isinstance(network := ip_network(text), IPv4Network)]
V6 = [network for text in FORBIDDEN if isinstance(network := ip_network(text), IPv6Network)]


@st.composite
def within(draw: st.DrawFn, networks: Sequence[IPv4Network | IPv6Network]) -> int:
    network = draw(st.sampled_from(networks))
    first, last = int(network.network_address), int(network.broadcast_address)
    return draw(st.sampled_from([first, last]) | st.integers(first, last))


def v4_forms(value: int) -> Iterator[str]:
    """Whatever a resolver, an IDNA encoder or a translator may take for that address."""
    a, b, c, d = value.to_bytes(4, "big")
    dotted = f"{a}.{b}.{c}.{d}"
    yield from (dotted, str(value), hex(value), hex(value).upper(), f"0{value:o}", f"{a}.{value & 0xFFFFFF}")
    yield from (f"{a}.{b}.{value & 0xFFFF}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}")
    yield from (
        f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"{dotted}.",
        dotted.replace(".", "\u3002"),
        dotted.replace(".", "\uff61"),
    )
    yield from (dotted.translate(FULL_WIDTH), dotted.replace(".", "%2e"), f"%{ord(dotted[0]):x}{dotted[1:]}")
    yield "".join(chr(0x1D7CE + int(digit)) if digit.isdigit() else digit for digit in dotted)
    yield from (f"[::ffff:{dotted}]", f"[::ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]", f"[0:0:0:0:0:FFFF:{dotted}]")
    yield from (f"[::{dotted}]", f"[64:ff9b::{dotted}]", f"[64:ff9b:1::{dotted}]", f"[::ffff:0:{dotted}]")
    yield from (
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]",
        f"[2606:4700::5efe:{dotted}]",
        f"[2606:4700::200:5efe:{dotted}]",
    )
    hidden = IPv4Address(value ^ 0xFFFFFFFF)
    yield f"[2001:0:4136:e378:8000:63bf:{hidden.packed.hex()[:4]}:{hidden.packed.hex()[4:]}]"


def v6_forms(value: int) -> Iterator[str]:
    address = IPv6Address(value)
    text = str(address)
    yield from (f"[{text}]", f"[{text.upper()}]", f"[{address.exploded}]", f"[{address.exploded.upper()}]")
    yield from (f"[{text}%25eth0]", f"[{text}%1]", f"%5b{text}%5d", text)
    last = IPv4Address(value & 0xFFFFFFFF)
    yield f"[{':'.join(address.exploded.split(':')[:6])}:{last}]"


def refuse(form: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(UrlNotAllowed):
            check_url(f"{scheme}://{form}/", POLICY)


@given(value=within(V4))
def test_no_forbidden_ipv4_address_passes_in_any_form(value: int) -> None:
    for form in v4_forms(value):
        refuse(form)


@given(value=within(V6))
def test_no_forbidden_ipv6_address_passes_in_any_form(value: int) -> None:
    for form in v6_forms(value):
        refuse(form)


@given(
    bad=st.builds(IPv4Address, within(V4)) | st.builds(IPv6Address, within(V6)),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
    mapped=st.booleans(),
)
async def test_a_name_is_refused_for_one_forbidden_address_among_good_ones(
    bad: IPv4Address | IPv6Address, before: int, after: int, mapped: bool
) -> None:
    text = f"::ffff:{bad}" if mapped and bad.version == 4 else str(bad)

    async def resolve(host: str) -> list[str]:
        return ["1.1.1.1"] * before + [text] + ["2606:4700:4700::1111"] * after

    with pytest.raises(UrlNotAllowed) as raised:
        await allowed_addresses(check_url("https://example.com/", POLICY), POLICY, resolve)
    assert str(bad) not in str(raised.value)


@given(st.integers(1, 223), st.integers(0, 0xFFFFFF))
def test_every_other_ipv4_address_is_allowed(first: int, rest: int) -> None:
    address = IPv4Address(first << 24 | rest)
    assert POLICY.allows(address, 443) == (not any(address in network for network in V4))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::1", "2400:cb00::1", "2001:4860::8888"]
)
def test_public_addresses_are_allowed(text: str) -> None:
    assert POLICY.allows(ip_address(text), 443)


def test_a_mapped_address_is_the_one_it_maps() -> None:
    assert address_of("::ffff:8.8.8.8") == IPv4Address("8.8.8.8")
    with pytest.raises(ValueError, match="scope"):
        address_of("fe80::1%eth0")


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("::ffff:1.2.3.4", ["1.2.3.4"]),
        ("64:ff9b::1.2.3.4", ["1.2.3.4"]),
        ("2002:102:304::1", ["1.2.3.4"]),
        # Its server, and the client behind it.
        ("2001:0:4136:e378:8000:63bf:fefd:fcfb", ["65.54.227.120", "1.2.3.4"]),
        ("2606:4700::5efe:102:304", ["1.2.3.4"]),
        ("2606:4700::1", []),
        ("1.2.3.4", []),
    ],
)
def test_what_an_address_embeds_is_found(text: str, inner: list[str]) -> None:
    assert [str(one) for one in embedded_in(ip_address(text))] == inner
