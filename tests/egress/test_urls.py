"""Which URLs may be called, before anything is resolved."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataqueue.egress import Policy, Rule, UrlNotAllowed, check_url
from dataqueue.errors import Invalid
from tests.egress.hostile import HOSTILE

STRICT = Policy()
HTTP = Policy(allow_http=True)


@pytest.mark.parametrize(("url", "rule"), HOSTILE, ids=[ascii(url)[:60] for url, _ in HOSTILE])
def test_a_hostile_url_is_refused_by_the_rule_it_breaks(url: str, rule: Rule) -> None:
    with pytest.raises(UrlNotAllowed) as raised:
        check_url(url, HTTP)
    assert raised.value.rule is rule
    with pytest.raises(UrlNotAllowed):
        check_url(url, STRICT)


def test_there_are_enough_of_them_and_every_rule_has_some() -> None:
    assert len({url for url, _ in HOSTILE}) == len(HOSTILE) >= 80
    assert {rule for _, rule in HOSTILE} == set(Rule)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://example.com", "example.com", 443, b"/", "example.com"),
        ("HTTPS://Example.COM:443/a?b=c", "example.com", 443, b"/a?b=c", "example.com"),
        ("https://example.com:8443/a/../b", "example.com", 8443, b"/b", "example.com:8443"),
        ("https://example.com:08080/", "example.com", 8080, b"/", "example.com:8080"),
        ("https://b\u00fccher.example/\u00fc?\u00fc", "xn--bcher-kva.example", 443, b"/%C3%BC?%C3%BC", None),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, b"/", None),
        ("https://\u4f8b\u3048.jp/", "xn--r8jz45g.jp", 443, b"/", None),
        ("https://my_service.example/%5C%0d%0a", "my_service.example", 443, b"/%5C%0d%0a", None),
        ("https://1.1.1.1/", "1.1.1.1", 443, b"/", "1.1.1.1"),
        ("https://[2606:4700:0::1111]:8443/", "2606:4700::1111", 8443, b"/", "[2606:4700::1111]:8443"),
        ("https://[::ffff:1.1.1.1]/", "::ffff:101:101", 443, b"/", "[::ffff:101:101]"),
        ("https://example.com/?u=https://127.0.0.1/@", "example.com", 443, b"/?u=https://127.0.0.1/@", None),
        ("https://localhost/", "localhost", 443, b"/", "localhost"),
        ("https://1password.com/", "1password.com", 443, b"/", None),
        ("https://0xcafe.example/", "0xcafe.example", 443, b"/", None),
    ],
)
def test_a_usual_url_is_read(url: str, host: str, port: int, path: bytes, authority: str | None) -> None:
    target = check_url(url, STRICT)
    assert (target.scheme, target.host, target.port, target.path) == ("https", host, port, path)
    assert authority in {None, target.authority}


def test_http_is_called_only_where_the_policy_says_so() -> None:
    with pytest.raises(UrlNotAllowed) as raised:
        check_url("http://example.com/", STRICT)
    assert raised.value.rule is Rule.SCHEME
    assert check_url("http://example.com/", HTTP).port == 80
    assert check_url("http://example.com:8080/", HTTP).authority == "example.com:8080"


def test_private_addresses_and_every_port_are_called_only_where_the_policy_says_so() -> None:
    private = Policy(allow_http=True, allow_private=True)
    for url in (
        "http://127.0.0.1:3000/",
        "https://[::1]:9/",
        "http://10.1.2.3:81/",
        "http://[fd12::1]/",
        "http://100.64.0.9/",
    ):
        assert check_url(url, private).address is not None
    # Nobody's handler is there, on whichever network.
    for url in ("http://169.254.169.254/", "http://100.100.100.200/", "http://[fd00:ec2::254]/", "http://0.0.0.0/"):
        with pytest.raises(UrlNotAllowed) as raised:
            check_url(url, private)
        assert raised.value.rule is Rule.ADDRESS


def test_the_refusal_says_what_to_do_and_is_a_validation_error() -> None:
    with pytest.raises(Invalid) as raised:
        check_url("https://10.9.8.7/", STRICT)
    assert (raised.value.code, raised.value.loc) == ("url_not_allowed", ("url",))
    assert "DATAQUEUE_WEBHOOK_ALLOW_PRIVATE" in str(raised.value)
    assert "10.9" not in str(raised.value)


def test_an_allowed_target_is_what_httpx_would_connect_to() -> None:
    for url in ("https://b\u00fccher.example:8443/x", "https://[2606:4700::1]/", "https://1.1.1.1/?a"):
        target, theirs = check_url(url, STRICT), httpx.URL(url)
        assert (target.host, target.port, target.path) == (
            theirs.raw_host.decode(),
            theirs.port or 443,
            theirs.raw_path,
        )
        assert check_url(target.url, STRICT) == target


URL_TEXT = st.text(alphabet=st.sampled_from("htps:/.@\\[]%#?012789abx-_\u3002\uff11\u2460\u00e9 \t"), max_size=40)


@given(rest=URL_TEXT)
@example(rest="127.0.0.1:80\\@example.com")
def test_no_text_is_read_otherwise_than_httpx_reads_it(rest: str) -> None:
    url = f"https://{rest}"
    try:
        target = check_url(url, STRICT)
    except UrlNotAllowed:
        return
    theirs = httpx.URL(url)
    host = theirs.raw_host.decode()
    assert target.host == (str(IPv6Address(host)) if ":" in host else host)
    assert (target.scheme, target.port, target.path) == (theirs.scheme, theirs.port or 443, theirs.raw_path)
    assert theirs.userinfo == b""
    assert target.path.startswith(b"/")
    assert not set(target.path) & set(b" \r\n\0")


class TestPolicy:
    def test_the_operators_lists_go_before_the_table(self) -> None:
        policy = Policy(
            allowed_networks=(ip_network("10.1.0.0/16"), ip_network("127.0.0.1/32")),
            denied_networks=(ip_network("10.1.2.0/24"), ip_network("1.1.1.0/24")),
        )
        allowed = {
            text: policy.allows(ip_address(text), 443)
            for text in ("10.1.1.1", "10.1.2.1", "10.2.0.1", "1.1.1.1", "1.0.0.1")
        }
        assert allowed == {"10.1.1.1": True, "10.1.2.1": False, "10.2.0.1": False, "1.1.1.1": False, "1.0.0.1": True}
        assert check_url("https://[::ffff:127.0.0.1]/", policy).address == ip_address("127.0.0.1")

    def test_our_own_listeners_are_never_called(self) -> None:
        own = frozenset({(ip_address("10.0.0.5"), 5432), (ip_address("10.0.0.6"), None), (ip_address("0.0.0.0"), 8000)})
        policy = Policy(allow_private=True, allowed_networks=(ip_network("10.0.0.0/8"),), own_addresses=own)
        assert not policy.allows(ip_address("10.0.0.5"), 5432)
        assert policy.allows(ip_address("10.0.0.5"), 443)
        assert not policy.allows(ip_address("10.0.0.6"), 443)
        assert not policy.allows(ip_address("127.0.0.1"), 8000)
        assert not policy.allows(ip_address("::1"), 8000)
        assert not policy.allows(ip_address("::ffff:127.0.0.1"), 8000)
        assert policy.allows(ip_address("127.0.0.1"), 8001)

    def test_what_an_allowed_network_embeds_has_to_be_allowed_itself(self) -> None:
        nat64 = Policy(allowed_networks=(ip_network("64:ff9b::/96"),))
        assert nat64.allows(ip_address("64:ff9b::1.1.1.1"), 443)
        assert not nat64.allows(ip_address("64:ff9b::127.0.0.1"), 443)
        assert not nat64.allows(ip_address("64:ff9b::169.254.169.254"), 443)
