"""What must be refused: never a 5xx, never a word of it repeated, and nothing stored (traps 2.5)."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.errors import MOST_ERRORS, FieldError, Problem, faults
from app.schemas.enqueue import EnqueueRequest, new_job
from app.validation import problem_from
from dataqueue.storage.port import Storage
from tests.api.support import JSON, client_of, places, problem, shared, started, stored

MARK: Final = "Leak-Me"
DIGITS: Final = b"9" * 400


def payload(text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return b'{"job_type":"report","payload":' + raw + b"}"


def field(name: str, text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return b'{"job_type":"report","' + name.encode() + b'":' + raw + b"}"


NOT_JSON: Final = {
    "nothing": b"",
    "blank": b"  ",
    "a word": MARK.encode(),
    "single quotes": b"{'job_type':'Leak-Me'}",
    "cut off": b'{"job_type":"Leak-Me"',
    "trailing comma": b'{"job_type":"report","payload":["Leak-Me",]}',
    "trailing text": b'{"job_type":"report"} Leak-Me',
    "two documents": b'{"job_type":"report"}{"job_type":"Leak-Me"}',
    "comment": b'{"job_type":"report"/*Leak-Me*/}',
    "bare NUL": b'{"job_type":"report","payload":"\x00"}',
    "control character": b'{"job_type":"report","payload":"\x1f"}',
    "byte order mark": b"\xef\xbb\xbf" + payload("1"),
    "UTF-16": payload('"Leak-Me"').decode().encode("utf-16"),
    "UTF-32": payload('"Leak-Me"').decode().encode("utf-32"),
    "latin-1": payload('"é Leak-Me"').decode().encode("latin-1"),
    "invalid UTF-8 in a key": b'{"\xff":"Leak-Me"}',
    "overlong UTF-8": payload(b'"\xc0\x80"'),
    "lone high surrogate": payload(r'"\ud800"'),
    "lone low surrogate": payload(r'"\udc00"'),
    "surrogates in the wrong order": payload(r'"\udc00\ud800"'),
    "surrogate as UTF-8": payload(b'"\xed\xa0\x80"'),
    "lone surrogate in a key": payload(r'{"\ud800":1}'),
    "lone surrogate as a tag": field("tags", r'["\ud800"]'),
    "5,000 digits": payload("9" * 5000),
    "5,000 digits as priority": field("priority", "9" * 5000),
    "hexadecimal": payload("0x10"),
    "leading zero": payload("01"),
    "leading plus": payload("+1"),
    "depth 10,000 of lists": payload("[" * 10_000 + "]" * 10_000),
    "depth 10,000 of objects": payload('{"a":' * 10_000 + "1" + "}" * 10_000),
    "depth 10,000 outside": b"[" * 10_000 + b"]" * 10_000,
    "depth 10,000 left open": payload("[" * 10_000),
    "depth 65": payload("[" * 65 + "]" * 65),
    "depth 65 of objects": payload('{"a":' * 65 + "1" + "}" * 65),
    "depth 150": payload("[" * 150 + "]" * 150),
    "NUL": payload(r'"\u0000"'),
    "NUL in a key": payload(r'{"a\u0000b":1}'),
    "NUL deep inside": payload(r'[{"a":[["\u0000"]]}]'),
    "NUL in the job type": b'{"job_type":"Leak-Me\\u0000"}',
    "NUL in a tag": field("tags", r'["Leak-Me\u0000"]'),
    "NUL in the key": field("idempotency_key", r'"Leak-Me\u0000"'),
    "NUL in an unknown field": field("Leak-Me", r'"\u0000"'),
    "NUL in a field's name": b'{"job_type":"report","Leak-Me\\u0000":1}',
    "NaN": payload("NaN"),
    "NaN deep inside": payload('[{"a":NaN}]'),
    "Infinity": payload("Infinity"),
    "-Infinity": payload("-Infinity"),
    "1e400": payload("1e400"),
    "-1e400": payload("[-1e400]"),
    "NaN as priority": field("priority", "NaN"),
    "Infinity as delay": field("delay", "Infinity"),
    "1e400 as retry_delay": field("retry_delay", "1e400"),
    "NaN as timeout_ms": field("timeout_ms", "NaN"),
}  # fmt: skip

INVALID: Final = {
    "null": (b"null", []),
    "a list": (b'["Leak-Me"]', []),
    "a text": (b'"Leak-Me"', []),
    "a number": (b"1", []),
    "no job type": (b"{}", ["job_type"]),
    "job type null": (b'{"job_type":null}', ["job_type"]),
    "job type a number": (b'{"job_type":5}', ["job_type"]),
    "job type empty": (b'{"job_type":""}', ["job_type"]),
    "job type too long": (b'{"job_type":"' + MARK.encode() * 30 + b'"}', ["job_type"]),
    "job type with a space": (b'{"job_type":"Leak-Me x"}', ["job_type"]),
    "job type with a newline at its end": (b'{"job_type":"Leak-Me\\n"}', ["job_type"]),
    "job type in Cyrillic": ('{"job_type":"тип-Leak-Me"}'.encode(), ["job_type"]),
    "job type with Arabic digits": ('{"job_type":"Leak-Me٣"}'.encode(), ["job_type"]),
    "unknown field": (field("prioritee", '"Leak-Me"'), ["prioritee"]),
    "seq is ours": (field("seq", "1"), ["seq"]),
    "status is ours": (field("status", '"completed"'), ["status"]),
    "namespace is the key's": (field("namespace", '"other"'), ["namespace"]),
    "ref outside a batch": (field("ref", '"a"'), ["ref"]),
    "priority as a text": (field("priority", '"5"'), ["priority"]),
    "priority true": (field("priority", "true"), ["priority"]),
    "priority 1.0": (field("priority", "1.0"), ["priority"]),
    "priority 1.5": (field("priority", "1.5"), ["priority"]),
    "priority null": (field("priority", "null"), ["priority"]),
    "priority 32768": (field("priority", "32768"), ["priority"]),
    "priority -32769": (field("priority", "-32769"), ["priority"]),
    "priority 2^31": (field("priority", "2147483648"), ["priority"]),
    "priority of 400 digits": (field("priority", DIGITS), ["priority"]),
    "max_attempts 0": (field("max_attempts", "0"), ["max_attempts"]),
    "max_attempts 1001": (field("max_attempts", "1001"), ["max_attempts"]),
    "timeout_ms 0": (field("timeout_ms", "0"), ["timeout_ms"]),
    "timeout_ms of 400 digits": (field("timeout_ms", DIGITS), ["timeout_ms"]),
    "timeout_ms a duration": (field("timeout_ms", '"5s"'), ["timeout_ms"]),
    "tags a text": (field("tags", '"Leak-Me"'), ["tags"]),
    "tags null": (field("tags", "null"), ["tags"]),
    "51 tags": (field("tags", json.dumps([f"{MARK}{n}" for n in range(51)])), ["tags"]),
    "51 equal tags": (field("tags", json.dumps([MARK] * 51)), ["tags"]),
    "an empty tag": (field("tags", '["Leak-Me",""]'), ["tags", 1]),
    "a long tag": (field("tags", json.dumps(["x" * 201])), ["tags", 0]),
    "a tag that is a number": (field("tags", "[5]"), ["tags", 0]),
    "an empty idempotency key": (field("idempotency_key", '""'), ["idempotency_key"]),
    "a long idempotency key": (field("idempotency_key", json.dumps(MARK * 40)), ["idempotency_key"]),
    "delay 0": (field("delay", "0"), ["delay"]),
    "delay -1": (field("delay", "-1"), ["delay"]),
    "delay true": (field("delay", "true"), ["delay"]),
    "delay without unit": (field("delay", '"90"'), ["delay"]),
    "delay with a space": (field("delay", '"5 m"'), ["delay"]),
    "delay negative": (field("delay", '"-1m"'), ["delay"]),
    "delay empty": (field("delay", '""'), ["delay"]),
    "delay an empty object": (field("delay", "{}"), ["delay"]),
    "delay an unknown unit": (field("delay", '{"Leak-Me":1}'), ["delay"]),
    "delay a text amount": (field("delay", '{"days":"Leak-Me"}'), ["delay"]),
    "delay a list": (field("delay", "[1]"), ["delay"]),
    "delay over 100 years": (field("delay", '{"years":101}'), ["delay"]),
    "delay of 400 digits": (field("delay", DIGITS), ["delay"]),
    "delay of 400 digits of days": (field("delay", b'{"days":' + DIGITS + b"}"), ["delay"]),
    "delay in months as a text": (field("delay", '"1mo"'), ["delay"]),
    "retry_delay -1": (field("retry_delay", "-1"), ["retry_delay"]),
    "retry_delay over 100 years": (field("retry_delay", "3153600001"), ["retry_delay"]),
    "retry_delay_max a word": (field("retry_delay_max", '"Leak-Me"'), ["retry_delay_max"]),
    "retry_backoff 1": (field("retry_backoff", "1"), ["retry_backoff"]),
    "retry_backoff a text": (field("retry_backoff", '"true"'), ["retry_backoff"]),
    "run_at a word": (field("run_at", '"Leak-Me"'), ["run_at"]),
    "run_at a number": (field("run_at", "1893456000"), ["run_at"]),
    "run_at without offset": (field("run_at", '"2031-01-01T00:00:00"'), ["run_at"]),
    "run_at a date": (field("run_at", '"2031-01-01"'), ["run_at"]),
    "run_at on 30 February": (field("run_at", '"2031-02-30T00:00:00Z"'), ["run_at"]),
    "run_at at 25 o'clock": (field("run_at", '"2031-01-01T25:00:00Z"'), ["run_at"]),
    "run_at in second 60": (field("run_at", '"2016-12-31T23:59:60Z"'), ["run_at"]),
    "run_at year 9999 -14:00": (field("run_at", '"9999-12-31T23:59:59-14:00"'), ["run_at"]),
    "run_at year 0001 +14:00": (field("run_at", '"0001-01-01T00:00:00+14:00"'), ["run_at"]),
    "run_at year 0000": (field("run_at", '"0000-01-01T00:00:00Z"'), ["run_at"]),
    "run_at 1999": (field("run_at", '"1999-12-31T23:59:59Z"'), ["run_at"]),
    "run_at 1999 by its offset": (field("run_at", '"2000-01-01T00:00:00+01:00"'), ["run_at"]),
    "run_at 2201 by its offset": (field("run_at", '"2200-12-31T23:59:59-01:00"'), ["run_at"]),
    "run_at offset +99:99": (field("run_at", '"2031-01-01T00:00:00+99:99"'), ["run_at"]),
    "run_at in Arabic digits": (field("run_at", '"٢٠٣١-01-01T00:00:00Z"'), ["run_at"]),
    "run_at with text behind": (field("run_at", '"2031-01-01T00:00:00Z Leak-Me"'), ["run_at"]),
    "dead letter type with a space": (field("dead_letter_job_type", '"Leak-Me x"'), ["dead_letter_job_type"]),
    "id a word": (field("id", '"Leak-Me"'), ["id"]),
    "id of version 4": (field("id", '"7f9c24e8-3b12-4fef-91e0-56a2d5a7b1cd"'), ["id"]),
    "id without hyphens": (field("id", '"01936b2e7c4a7d3f9b1c5f0e8a2d4c61"'), ["id"]),
    "id in braces": (field("id", '"{01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61}"'), ["id"]),
    "id a number": (field("id", "5"), ["id"]),
    "killed at no time": (field("force_kill_on_timeout", "true"), ["force_kill_on_timeout"]),
    "killed by a word": (field("force_kill_on_timeout", '"Leak-Me"'), ["force_kill_on_timeout"]),
}  # fmt: skip

NOT_BUILT: Final = {
    "group": '{"id":"Leak-Me","tier":"gold"}',
    "depends_on": '{"tags":["Leak-Me"]}',
}


async def refused(client: httpx.AsyncClient, body: bytes, status: int, code: str) -> dict[str, Any]:
    response = await client.post("/v1/jobs", content=body, headers=JSON)
    found = problem(response, status, code)
    assert MARK.casefold() not in response.text.casefold()
    assert await stored(client) == 0
    return found


@shared
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_cannot_be_stored_as_json_is_invalid_json(bystander: httpx.AsyncClient, body: bytes) -> None:
    found = await refused(bystander, body, 422, "invalid_json")
    assert all(error["code"] == "invalid_json" for error in found["errors"])


@shared
@pytest.mark.parametrize(("body", "place"), INVALID.values(), ids=INVALID)
async def test_a_value_out_of_range_is_named_by_its_place(
    bystander: httpx.AsyncClient, body: bytes, place: list[str | int]
) -> None:
    found = await refused(bystander, body, 422, "validation_failed")
    assert places(found) == [["body", *place]]


@shared
@pytest.mark.parametrize(("name", "value"), NOT_BUILT.items(), ids=NOT_BUILT)
async def test_a_field_to_come_is_not_available(bystander: httpx.AsyncClient, name: str, value: str) -> None:
    found = await refused(bystander, field(name, value), 422, "not_available")
    assert found["errors"] == [{"loc": ["body", name], "msg": "is not available yet", "code": "not_available"}]


@shared
async def test_the_name_of_an_unknown_field_is_told_only_when_it_can_carry_nothing(
    bystander: httpx.AsyncClient,
) -> None:
    assert places(await refused(bystander, field("job_typ", "1"), 422, "validation_failed")) == [["body", "job_typ"]]
    assert places(await refused(bystander, field("<b>Leak-Me</b>", "1"), 422, "validation_failed")) == [["body"]]


@shared
async def test_a_depth_is_refused_with_its_limit(bystander: httpx.AsyncClient) -> None:
    found = await refused(bystander, payload("[" * 65 + "]" * 65), 422, "invalid_json")
    assert "64" in found["errors"][0]["msg"]


@shared
async def test_many_faults_are_counted_and_few_listed(bystander: httpx.AsyncClient) -> None:
    body = b'{"job_type":"report",' + b",".join(b'"unknown_%d":1' % n for n in range(900)) + b"}"
    found = await refused(bystander, body, 422, "validation_failed")
    assert len(found["errors"]) == MOST_ERRORS
    assert "899 more" in found["detail"]


@shared
async def test_a_body_full_of_faults_gets_a_short_answer(bystander: httpx.AsyncClient) -> None:
    body = b'{"job_type":"report",' + b",".join(b'"unknown_%d":1' % n for n in range(50_000)) + b"}"
    found = await refused(bystander, body, 422, "validation_failed")
    assert len(json.dumps(found)) < 1000


@shared
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/plain; x=json", ""])
async def test_another_content_type_is_refused(bystander: httpx.AsyncClient, content_type: str) -> None:
    response = await bystander.post("/v1/jobs", content=payload("1"), headers={"content-type": content_type})
    problem(response, 415, "unsupported_media_type")
    assert await stored(bystander) == 0


@shared
@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
async def test_a_content_encoding_is_refused(bystander: httpx.AsyncClient, encoding: str) -> None:
    response = await bystander.post("/v1/jobs", content=payload("1"), headers={**JSON, "content-encoding": encoding})
    problem(response, 415, "unsupported_media_type")
    assert await stored(bystander) == 0


async def test_a_payload_over_its_limit_is_too_large(storage: Storage) -> None:
    async with started(storage, max_payload_bytes=100) as app, client_of(app) as client:
        fits = await client.post("/v1/jobs", json={"job_type": "report", "payload": "é" * 49})
        assert fits.status_code == 201
        response = await client.post("/v1/jobs", json={"job_type": "report", "payload": "é" * 50})
        assert "100 bytes" in problem(response, 413, "payload_too_large")["detail"]
        assert await stored(client) == 1


async def test_the_size_of_a_body_is_what_arrives_not_what_is_declared(storage: Storage) -> None:
    pieces_taken = 0

    async def pieces() -> Any:
        nonlocal pieces_taken
        for _ in range(100):
            pieces_taken += 1
            yield b" " * 1000

    async with started(storage, max_body_bytes=2048) as app, client_of(app) as client:
        response = await client.post("/v1/jobs", content=pieces(), headers=JSON)
        assert "2048" in problem(response, 413, "body_too_large")["detail"]
        assert pieces_taken < 10, "it read on after the limit"
        lying = await client.post("/v1/jobs", content=pieces(), headers={**JSON, "content-length": "10"})
        problem(lying, 413, "body_too_large")


@pytest.mark.parametrize("declared", ["2049", "9" * 30])
async def test_a_body_that_says_it_is_too_large_is_not_waited_for(storage: Storage, declared: str) -> None:
    async def never() -> Any:
        raise AssertionError("it was read")
        yield b""

    async with started(storage, max_body_bytes=2048) as app, client_of(app) as client:
        response = await client.post("/v1/jobs", content=never(), headers={**JSON, "content-length": declared})
        problem(response, 413, "body_too_large")


@pytest.mark.parametrize(
    ("kind", "body"),
    [(Decimal, b'"Leak-Me"'), (UUID, b'"Leak-Me"'), (Literal["a"], b'"Leak-Me"'), (date, b'"Leak-Me"')],
)
def test_a_finding_we_have_no_words_for_is_told_without_pydantics(kind: Any, body: bytes) -> None:
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(kind).validate_json(body)
    found = problem_from(refusal.value, at=("body",))
    assert [error.msg for error in found.errors] == ["is not valid"]


def test_no_problem_lists_more_than_ten_errors() -> None:
    found = faults([FieldError(("body", str(n)), "is wrong") for n in range(20)])
    assert len(json.loads(found.body(request_id="r"))["errors"]) == MOST_ERRORS


_validate = TypeAdapter(EnqueueRequest).validator.validate_json
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["90s", "2031-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
_names = st.sampled_from(list(EnqueueRequest.model_fields)) | st.text(max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_names, _values, max_size=6), st.sampled_from(["", "report"]))
def test_whatever_is_sent_ends_in_a_job_or_in_a_problem_that_can_be_sent(fields: dict[str, Any], job_type: str) -> None:
    body = json.dumps({**fields, **({"job_type": job_type} if job_type else {})}).encode()
    try:
        job = new_job(_validate(body), max_payload_bytes=1000)
    except ValidationError as error:
        refusal = problem_from(error, at=("body",))
    except Problem as error:
        refusal = error
    else:
        assert json.loads(job.payload) == fields.get("payload", {})
        return
    assert 400 <= refusal.status < 500
    assert json.loads(refusal.body(request_id="r"))["code"] == refusal.code


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_are_more_than_a_422(body: bytes) -> None:
    with pytest.raises(ValidationError) as refusal:
        _validate(body)
    assert problem_from(refusal.value, at=("body",)).status == 422
