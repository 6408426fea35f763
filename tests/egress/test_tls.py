"""Over https: whom the certificate has to speak for, though the connection is made to an address."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import trustme

from dataqueue.egress import ConnectFailed, GuardedClient, TimedOut, default_tls
from tests.egress.calling import Names, call, policy
from tests.egress.receivers import answering, receiver, silent

AUTHORITY: Final = trustme.CA()
STRANGER: Final = trustme.CA()
LONG_AGO: Final = datetime.now(UTC) - timedelta(days=2)


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = default_tls()
    authority.configure_trust(context)
    return context


async def test_the_name_is_asked_for_and_the_certificate_is_verified_against_it() -> None:
    tls, asked = serving(AUTHORITY.issue_cert("receiver.example")), []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with (
        receiver(answering(), tls=tls) as one,
        GuardedClient(policy(one.port), resolve=Names(["127.0.0.1"]), tls=trusting()) as client,
    ):
        url = one.url("receiver.example", "https")
        assert [(await call(client, url)).status for _ in range(2)] == [200, 200]
        assert asked == ["receiver.example"]
        assert one.connections == 1
        assert f"\r\nhost: receiver.example:{one.port}\r\n".encode() in one.requests[0]


@pytest.mark.parametrize(
    ("host", "certificate", "trusted"),
    [
        ("receiver.example", AUTHORITY.issue_cert("other.example"), AUTHORITY),
        # The address that is connected to is not what the certificate has to be for.
        ("receiver.example", AUTHORITY.issue_cert("127.0.0.1"), AUTHORITY),
        ("127.0.0.1", AUTHORITY.issue_cert("receiver.example"), AUTHORITY),
        ("a.b.receiver.example", AUTHORITY.issue_cert("*.receiver.example"), AUTHORITY),
        ("receiver.example", STRANGER.issue_cert("receiver.example"), AUTHORITY),
        ("receiver.example", AUTHORITY.issue_cert("receiver.example", not_after=LONG_AGO), AUTHORITY),
    ],
    ids=["another name", "the address", "a name for an address", "too deep", "an unknown authority", "expired"],
)
async def test_a_certificate_that_does_not_speak_for_the_host_is_refused(
    host: str, certificate: trustme.LeafCert, trusted: trustme.CA
) -> None:
    async with (
        receiver(answering(), tls=serving(certificate)) as one,
        GuardedClient(policy(one.port), resolve=Names(["127.0.0.1"]), tls=trusting(trusted)) as client,
    ):
        with pytest.raises(ConnectFailed, match="certificate is not valid"):
            await call(client, one.url(host, "https"))
        assert one.requests == []


async def test_a_certificate_may_be_for_an_address() -> None:
    async with (
        receiver(answering(), tls=serving(AUTHORITY.issue_cert("127.0.0.1"))) as one,
        GuardedClient(policy(one.port), tls=trusting()) as client,
    ):
        assert (await call(client, one.url("127.0.0.1", "https"))).status == 200


async def test_without_an_authority_of_the_callers_only_the_usual_ones_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with AUTHORITY.cert_pem.tempfile() as pem:
        monkeypatch.setenv("SSL_CERT_FILE", pem)
        async with (
            receiver(answering(), tls=serving(AUTHORITY.issue_cert("receiver.example"))) as one,
            GuardedClient(policy(one.port), resolve=Names(["127.0.0.1"])) as client,
        ):
            with pytest.raises(ConnectFailed, match="certificate"):
                await call(client, one.url("receiver.example", "https"))


async def test_a_receiver_that_does_not_speak_tls_is_no_connection() -> None:
    async def plain(_one: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")

    async with receiver(plain) as one, GuardedClient(policy(one.port), tls=trusting()) as client:
        with pytest.raises(ConnectFailed, match="TLS"):
            await call(client, one.url("127.0.0.1", "https"))


async def test_a_handshake_that_is_never_answered_is_given_up_in_time() -> None:
    async with receiver(silent) as one, GuardedClient(policy(one.port), connects_within=0.2) as client:
        with pytest.raises(TimedOut, match="no connection"):
            await call(client, one.url("127.0.0.1", "https"))
        await one.until(lambda one: one.connections == 1 and one.open == 0)
