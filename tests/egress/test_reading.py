"""An answer, however its bytes are cut."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.egress import BodyTooLarge, BrokenAnswer, CallFailed, HeadersTooLarge
from dataqueue.egress.reading import LARGEST_HEAD, AnswerReader

BOMB = gzip.compress(bytes(10_000_000))


def read(*parts: bytes, max_body: int = 1000) -> AnswerReader:
    reader = AnswerReader(max_body=max_body)
    for part in parts:
        reader.feed(part)
    return reader


def body_of(reader: AnswerReader) -> bytes:
    return b"".join(reader.chunks)


WHOLE = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\no\r\n1;a=b\r\nk\r\n0\r\nx-a: trailer\r\n\r\n",
    "other answers before": b"HTTP/1.1 100 C\r\na: b\r\n\r\nHTTP/1.1 103 E\r\n\r\n"
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "an offer to upgrade": b"HTTP/1.1 200 OK\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
@given(data=st.data())
def test_it_is_read_the_same_however_it_is_cut(answer: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1))))
    parts = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    reader = read(*parts)
    assert (reader.status, body_of(reader), reader.complete, reader.reusable) == (200, b"ok", True, True)
    assert reader.headers.get("x-a") in {None, "1, 2"}
    assert "a" not in reader.headers


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nokmore",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
def test_a_connection_is_done_with_where_more_follows_or_the_receiver_says_so(answer: bytes) -> None:
    reader = read(answer)
    assert (body_of(reader), reader.complete, reader.reusable) == (b"ok", True, False)


def test_what_comes_later_is_none_of_the_answer() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert reader.reusable
    reader.feed(b"HTTP/1.1 500 No\r\n\r\n")
    assert (reader.status, body_of(reader), reader.reusable) == (200, b"ok", False)


@pytest.mark.parametrize("status", [204, 304])
def test_these_have_no_body_whatever_they_say(status: int) -> None:
    reader = read(f"HTTP/1.1 {status} X\r\ncontent-length: {10 if status == 304 else 0}\r\n\r\n".encode())
    assert (reader.complete, reader.reusable, body_of(reader)) == (True, True, b"")


def test_without_a_length_the_body_lasts_until_the_end() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n\r\nso", b" far")
    assert not reader.complete
    reader.end()
    assert (reader.complete, reader.reusable, body_of(reader)) == (True, False, b"so far")


BROKEN = (
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"-ERR unknown command 'POST'\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 999 Much\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n",
    b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
    b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
)


@pytest.mark.parametrize("answer", BROKEN)
def test_what_is_not_http_is_refused_and_not_repeated(answer: bytes) -> None:
    with pytest.raises(BrokenAnswer) as raised:
        read(answer).end()
    error = raised.value
    assert str(error) == "the answer is not HTTP/1.1"
    # No way leads from it to what the receiver said.
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", *(one[:-3] for one in WHOLE.values())])
def test_an_early_end_is_no_answer(answer: bytes) -> None:
    with pytest.raises(BrokenAnswer, match="closed before"):
        read(answer).end()


@pytest.mark.parametrize(
    "part", [b"x-a: " + b"a" * 1000 + b"\r\n", b"a" * 5000, b"HTTP/1.1 100 C\r\n\r\n"], ids=["many", "long", "100s"]
)
def test_a_head_beyond_16_kib_is_refused(part: bytes) -> None:
    start = b"" if part.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\nx: "
    pieces = [start, *[part] * 2000]
    within = next(count for count in range(len(pieces)) if len(start) + count * len(part) >= LARGEST_HEAD)
    read(*pieces[:within])
    with pytest.raises(HeadersTooLarge):
        read(*pieces[: within + 1])


@pytest.mark.parametrize(("size", "fits"), [(LARGEST_HEAD, True), (LARGEST_HEAD + 1, False)])
def test_the_limit_of_the_head_is_exact_though_it_comes_at_once(size: int, fits: bool) -> None:
    frame = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: %b\r\n\r\n"
    answer = frame.replace(b"%b", b"a" * (size - len(frame) + 2)) + b"ok"
    if fits:
        assert body_of(read(answer)) == b"ok"
    else:
        with pytest.raises(HeadersTooLarge):
            read(answer)


@pytest.mark.parametrize(
    "framed",
    [
        b"HTTP/1.1 500 No\r\n\r\n" + bytes(1001),
        b"HTTP/1.1 500 No\r\ncontent-length: 1001\r\n\r\n",
        b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n" + bytes(1001) + b"\r\n",
    ],
)
def test_a_body_beyond_the_limit_is_refused_with_its_status(framed: bytes) -> None:
    with pytest.raises(BodyTooLarge) as raised:
        read(framed)
    assert (raised.value.limit, raised.value.status) == (1000, 500)


def test_a_body_of_the_limit_is_read_and_no_byte_more_is_kept() -> None:
    assert len(body_of(read(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1000)))) == 1000
    reader = AnswerReader(max_body=1000)
    with pytest.raises(BodyTooLarge):
        reader.feed(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000))
    assert reader.waiting == len(body_of(reader)) == 1000


def test_what_surrounds_the_chunks_is_bounded_as_well() -> None:
    chunk = b"1;" + b"e" * 1000 + b"\r\nx\r\n"
    with pytest.raises(BodyTooLarge):
        read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", *[chunk] * 200)
    with pytest.raises(CallFailed):
        read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", *[b"trailer: x\r\n"] * 20_000)


def test_a_compressed_body_stays_as_it_is() -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(BOMB)}\r\n\r\n".encode()
    reader = read(head + BOMB, max_body=len(BOMB))
    assert body_of(reader) == BOMB
    assert reader.headers["content-encoding"] == "gzip"


@given(st.binary(max_size=300), st.integers(1, 299))
def test_whatever_comes_ends_in_an_answer_or_a_refusal(noise: bytes, cut: int) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"):
        try:
            reader = read(start + noise[:cut], noise[cut:], max_body=100)
            reader.end()
        except CallFailed:
            continue
        assert reader.complete
        assert len(body_of(reader)) <= 100
