"""Calls to receivers that behave: what is sent, over which connections, and to whom."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from dataqueue.egress import BrokenAnswer, ConnectFailed, GuardedClient, Policy, Rule, TimedOut, UrlNotAllowed
from dataqueue.egress import client as client_module
from dataqueue.egress import connection as connection_module
from dataqueue.errors import Invalid
from tests.egress.calling import Names, call, policy
from tests.egress.receivers import OK, Receiver, answering, hanging_up, receiver


async def test_a_request_is_what_the_caller_said_and_little_else() -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        headers = {"content-type": "application/json", "webhook-id": "a-1", "X-Mine": "1"}
        answer = await call(client, one.url(path="/a/b?c=%20"), headers=headers, body=b'{"a":1}')
        assert (answer.status, answer.body) == (200, b'{"ok":true}')
        assert answer.headers == {"content-type": "application/json", "content-length": "11"}
        expected = (
            f"POST /a/b?c=%20 HTTP/1.1\r\nhost: 127.0.0.1:{one.port}\r\naccept-encoding: identity\r\n"
            "content-type: application/json\r\nwebhook-id: a-1\r\nX-Mine: 1\r\nuser-agent: dataqueue\r\n"
            'content-length: 7\r\n\r\n{"a":1}'
        )
        assert one.requests == [expected.encode()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "evil.example"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("accept-encoding", "gzip"),
        ("expect", "100-continue"),
        ("a", "b\r\nhost: evil.example"),
        ("a", "b\nc"),
        ("a", "\0"),
        ("a", "\u00e9"),
        ("a\r\nb", "c"),
        ("a:b", "c"),
        ("a b", "c"),
        ("", "c"),
    ],
)
async def test_a_header_that_would_change_the_request_is_refused(name: str, value: str) -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        with pytest.raises(Invalid) as raised:
            await call(client, one.url(), headers={name: value})
        assert raised.value.loc == ("headers", name)
        assert one.connections == 0


async def test_calls_of_a_namespace_share_a_connection_and_those_of_others_do_not() -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port), resolve=Names(["127.0.0.1"])) as client:
        for _ in range(3):
            await call(client, one.url(), namespace="a")
        assert one.connections == 1
        await call(client, one.url(), namespace="b")
        assert one.connections == 2
        # Another name for the same address is another receiver.
        await call(client, one.url("receiver.example"), namespace="a")
        assert one.connections == 3
        await client.aclose()
        await one.until(lambda one: one.open == 0)


async def test_calls_at_a_time_have_a_connection_each() -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        answers = await asyncio.gather(*(call(client, one.url(), body=b"%d" % number) for number in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert {request[-1:] for request in one.requests} == {b"%d" % digit for digit in range(10)}
        assert 1 <= one.connections <= 20


async def test_a_name_is_resolved_once_a_connection_and_the_address_is_the_one_that_was_checked() -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with receiver(answering()) as one, GuardedClient(policy(one.port), resolve=names) as client:
        url = one.url("rebinding.example")
        assert (await call(client, url)).status == 200
        assert names.asked == ["rebinding.example"]
        assert f"host: rebinding.example:{one.port}".encode() in one.requests[0]
        # The connection that was made to a good address goes on; a new one would be made to the other.
        assert (await call(client, url)).status == 200
        assert names.asked == ["rebinding.example"]
        with pytest.raises(UrlNotAllowed) as raised:
            await call(client, url, namespace="other")
        assert raised.value.rule is Rule.ADDRESS
        assert one.connections == 1


async def test_a_name_that_turns_to_loopback_is_never_connected_to_there(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []

    async def refusing(target: Any, address: Any, *, tls: Any) -> Any:
        connected.append(str(address))
        raise ConnectFailed("no connection came about")

    monkeypatch.setattr(client_module, "connect", refusing)
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    async with GuardedClient(Policy(), resolve=names) as client:
        with pytest.raises(ConnectFailed):
            await call(client, "https://rebinding.example/")
        with pytest.raises(UrlNotAllowed):
            await call(client, "https://rebinding.example/")
    assert connected == ["93.184.216.34"]


async def test_one_bad_address_among_good_ones_refuses_the_call() -> None:
    async with receiver(answering()) as one:
        async with GuardedClient(policy(one.port), resolve=Names(["127.0.0.1", "::1"])) as client:
            with pytest.raises(UrlNotAllowed):
                await call(client, one.url("both.example"))
        assert one.connections == 0


async def test_the_next_address_is_tried_where_one_cannot_be_reached() -> None:
    allowed = (ip_network("127.0.0.1/32"), ip_network("::1/128"))
    async with (
        receiver(answering()) as one,
        GuardedClient(
            policy(one.port, allowed_networks=allowed), resolve=Names(["::1", "127.0.0.1"]), connects_within=10
        ) as client,
    ):
        assert (await call(client, one.url("both.example"))).status == 200


async def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = connection_module.connect

    async def connecting(target: Any, address: Any, *, tls: Any) -> Any:
        if address == ip_address("1.1.1.1"):
            await asyncio.Event().wait()
        return await connect(target, address, tls=tls)

    monkeypatch.setattr(client_module, "connect", connecting)
    async with receiver(answering()) as one:
        names = Names(["1.1.1.1", "127.0.0.1"], ["1.1.1.1"])
        async with GuardedClient(policy(one.port), resolve=names, connects_within=2) as client:
            assert (await call(client, one.url("half.example"))).status == 200
        async with GuardedClient(policy(one.port), resolve=Names(["1.1.1.1"]), connects_within=0.1) as client:
            with pytest.raises(TimedOut, match="no connection"):
                await call(client, one.url("silent.example"))


async def test_a_connection_that_led_elsewhere_is_not_spoken_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "address_of", lambda _text: ip_address("10.0.0.1"))
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        with pytest.raises(ConnectFailed, match="another address"):
            await call(client, one.url())
        await one.until(lambda one: one.connections == 1 and one.open == 0)
        assert one.requests == []


async def test_a_kept_connection_is_closed_where_the_policy_forbids_its_address_now() -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        await call(client, one.url())
        client.use(policy(one.port, denied_networks=(ip_network("127.0.0.0/8"),)))
        with pytest.raises(UrlNotAllowed):
            await call(client, one.url())
    async with receiver(answering()) as one, GuardedClient(policy(one.port), resolve=Names(["127.0.0.1"])) as client:
        await call(client, one.url("name.example"))
        client.use(policy(one.port, denied_networks=(ip_network("127.0.0.0/8"),)))
        with pytest.raises(UrlNotAllowed):
            await call(client, one.url("name.example"))
        await one.until(lambda one: one.open == 0)
        assert len(one.requests) == 1


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with receiver(answering(b"HTTP/1.1 502 Proxy\r\ncontent-length: 0\r\n\r\n")) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login a password b\ndefault login a password b\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
            assert (await call(client, one.url())).status == 200
            assert b"authorization" not in one.requests[0].lower()
        assert proxy.connections == 0


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with receiver(answering()) as inside:
        redirect = f"HTTP/1.1 307 Moved\r\nlocation: {inside.url()}\r\ncontent-length: 0\r\n\r\n".encode()
        async with receiver(answering(redirect)) as one, GuardedClient(policy(one.port)) as client:
            answer = await call(client, one.url())
            assert (answer.status, answer.headers["location"]) == (307, inside.url())
        assert inside.connections == 0


async def closing_at_the_second(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that hangs up while we send: it takes a second request of a connection, and closes."""
    await one.request(reader)
    writer.write(OK)
    await one.request(reader)


async def test_a_call_on_a_kept_connection_that_was_being_closed_is_sent_again_on_a_new_one() -> None:
    async with receiver(closing_at_the_second) as one, GuardedClient(policy(one.port)) as client:
        assert [(await call(client, one.url())).status for _ in range(2)] == [200, 200]
        assert (one.connections, len(one.requests)) == (2, 3)


async def test_a_call_that_took_its_time_and_then_broke_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_STALE_WITHIN", -1.0)
    async with receiver(closing_at_the_second) as one, GuardedClient(policy(one.port)) as client:
        await call(client, one.url())
        with pytest.raises(BrokenAnswer):
            await call(client, one.url())
        assert (one.connections, len(one.requests)) == (1, 2)


async def test_a_call_on_a_new_connection_is_never_sent_again() -> None:
    async with receiver(hanging_up) as one, GuardedClient(policy(one.port)) as client:
        with pytest.raises(BrokenAnswer, match="closed before"):
            await call(client, one.url())
        assert len(one.requests) == 1


async def test_nobody_listening_is_no_connection() -> None:
    async with receiver(answering()) as one:
        url, rules = one.url(), policy(one.port)
    async with GuardedClient(rules) as client:
        with pytest.raises(ConnectFailed):
            await call(client, url)


async def test_a_call_that_is_given_up_leaves_no_connection() -> None:
    async def silent(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.request(reader)
        await reader.read()

    async with receiver(silent) as one, GuardedClient(policy(one.port)) as client:
        task = asyncio.create_task(call(client, one.url()))
        await one.until(lambda one: one.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await one.until(lambda one: one.open == 0)


async def test_a_closed_client_keeps_no_connection() -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        async with client.stream(one.url(), namespace="a", within=20, max_body=100) as answer:
            await client.aclose()
            assert await answer.read() == b'{"ok":true}'
        await one.until(lambda one: one.open == 0)


async def test_a_url_can_be_checked_without_a_call() -> None:
    async with GuardedClient(Policy(), resolve=Names(["1.1.1.1"], ["127.0.0.1"])) as client:
        assert (await client.check("https://good.example/")).host == "good.example"
        with pytest.raises(UrlNotAllowed):
            await client.check("https://bad.example/")
        with pytest.raises(UrlNotAllowed):
            await client.check("http://good.example/")
