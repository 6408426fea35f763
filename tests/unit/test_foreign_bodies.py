"""What others post, as JSON: by its content type, and never a failure of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import Problem
from app.foreign_bodies import output_of

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=XyZ"


def output(body: bytes | str, content_type: str, *, most: int = 256 << 10) -> Any:
    return json.loads(output_of(body.encode() if isinstance(body, str) else body, content_type, most=most))


def part(value: str, disposition: str = 'form-data; name="a"', *others: str) -> str:
    headers = "".join(f"{line}\r\n" for line in (f"Content-Disposition: {disposition}", *others))
    return f"--XyZ\r\n{headers}\r\n{value}\r\n"


@pytest.mark.parametrize(
    ("body", "content_type", "kept"),
    [
        ('{"a": [1, 2.0]}', "application/json", {"a": [1, 2.0]}),
        ('{"a":1}', "APPLICATION/JSON; charset=utf-8", {"a": 1}),
        ("true", "application/cloudevents+json", True),
        ("3", "text/json", 3),
        ("a=1&b=two+words&c=%C3%BC&d=", FORM, {"a": "1", "b": "two words", "c": "ü", "d": ""}),
        ("a=1&b=2&a=3&a=", FORM, {"a": ["1", "3", ""], "b": "2"}),
        ("ok", FORM, {"ok": ""}),
        (b"name=\xfc&other=%FC", f"{FORM}; charset=iso-8859-1", {"name": "ü", "other": "ü"}),
        ("x=1;y=2", FORM, {"x": "1;y=2"}),
        ("approved", "text/plain", "approved"),
        ("<ok/>", "application/xml", "<ok/>"),
        (b"gr\xfc\xdfe", "text/plain; charset=latin1", "grüße"),
        ("grüße".encode("utf-16"), 'text/plain; charset="UTF-16"', "grüße"),
        ('{"a":1}\n{"a":2}\n', "application/x-ndjson", '{"a":1}\n{"a":2}\n'),
        ("plain bytes", "application/octet-stream", "plain bytes"),
        ("3", "text/plain", "3"),
        ('{"a":1}', "", {"a": 1}),
        ("not json", "", "not json"),
        ('{"a":1}', ";;; nonsense", {"a": 1}),
        ('{"a":1}', "application/json-patch; x", {"a": 1}),
        ("x", "nonsense", "x"),
        (part("1") + part("2", 'form-data; name="b"') + "--XyZ--\r\n", PARTS, {"a": "1", "b": "2"}),
        (part("1") + part("") + part("3\r\n4") + "--XyZ--", PARTS, {"a": ["1", "", "3\r\n4"]}),
        ("before\r\n" + part("1") + "--XyZ--\r\nafter", PARTS, {"a": "1"}),
        (part("1", "FORM-DATA ; Name=plain") + "--XyZ--", PARTS, {"plain": "1"}),
        (part("1", r'form-data; name="a \"quoted\" ü"') + "--XyZ--", PARTS, {'a "quoted" ü': "1"}),
        ("--XyZ--\r\n", PARTS, {}),
        ("--a b\r\nContent-Disposition: form-data; name=n\r\n\r\n1\r\n--a b--", 'multipart/form-data; boundary="a b"',
            {"n": "1"}),
    ],
)  # fmt: skip
def test_the_content_type_decides(body: bytes | str, content_type: str, kept: Any) -> None:
    assert output(body, content_type) == kept


def test_a_field_of_a_form_has_a_charset_of_its_own() -> None:
    head = part("", 'form-data; name="a"', "Content-Type: text/plain; charset=iso-8859-1").removesuffix("\r\n")
    assert output(head.encode() + b"\xfc\r\n--XyZ--", PARTS) == {"a": "ü"}


@pytest.mark.parametrize("content_type", ["application/json", FORM, PARTS, "text/plain", "", "image/png"])
def test_nothing_is_null(content_type: str) -> None:
    assert output(b"", content_type) is None


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("{", "application/json", "invalid_json"),
        (" ", "application/json", "invalid_json"),
        ("NaN", "application/json", "invalid_json"),
        ("1e999", "application/json", "invalid_json"),
        ('"\\ud800"', "application/json", "invalid_json"),
        ('"\\u0000"', "application/json", "invalid_json"),
        ("[" * 65 + "]" * 65, "application/json", "invalid_json"),
        ("[" * 100_000, "application/json", "invalid_json"),
        (b'"\xff"', "application/json", "invalid_json"),
        (b"\xff\xfe\x00", "text/plain", "validation_failed"),
        (b"\x89PNG\r\n\x1a\n", "image/png", "validation_failed"),
        ("a\0b", "text/plain", "invalid_json"),
        ("a=%00", FORM, "invalid_json"),
        ("%00=a", FORM, "invalid_json"),
        ("a=%FF", FORM, "validation_failed"),
        (b"a=\xff", FORM, "validation_failed"),
        ("&".join(f"f{n}=1" for n in range(1001)), FORM, "validation_failed"),
        ("x", "text/plain; charset=utf-7", "validation_failed"),
        ("x", "text/plain; charset=idna", "validation_failed"),
        ("x", "text/plain; charset=zip", "validation_failed"),
        ("x", "text/plain; charset=unicode_escape", "validation_failed"),
        ("x", "text/plain; charset=nobodys", "validation_failed"),
        ("x", 'text/plain; charset="\0"', "validation_failed"),
        ("x", "text/plain; charset=../../x", "validation_failed"),
        ("x", "multipart/form-data", "validation_failed"),
        ("--XyZ\r\n", "multipart/form-data; boundary=", "validation_failed"),
        ("no parts", PARTS, "validation_failed"),
        (part("cut off"), PARTS, "validation_failed"),
        ("--XyZ\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XyZ--", PARTS, "validation_failed"),
        ("--XyZ\r\n\r\n1\r\n--XyZ--", PARTS, "validation_failed"),
        ("--XyZ\r\n--XyZ--", PARTS, "validation_failed"),
        ("--XyZa\r\n\r\n1\r\n--XyZ--", PARTS, "validation_failed"),
        (part("x", 'form-data; name="f"; filename="a.txt"') + "--XyZ--", PARTS, "validation_failed"),
        (part("x", "form-data; name=f; filename*=utf-8''a") + "--XyZ--", PARTS, "validation_failed"),
        (part("x\0") + "--XyZ--", PARTS, "invalid_json"),
        (part("1") * 1001 + "--XyZ--", PARTS, "validation_failed"),
        (b"--XyZ\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n1\r\n--XyZ--", PARTS, "validation_failed"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(body: bytes | str, content_type: str, code: str) -> None:
    with pytest.raises(Problem) as raised:
        output(body, content_type)
    assert (raised.value.status, raised.value.code) == (422, code)
    assert [error.loc[0] for error in raised.value.errors] == ["body"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [('"' + "x" * 99 + '"', "application/json"), ("x" * 99, "text/plain"), ("\x01" * 20, "text/plain"), ("ü" * 50, "")],
)
def test_what_comes_to_more_than_is_kept_is_too_large(body: str, content_type: str) -> None:
    with pytest.raises(Problem) as raised:
        output(body, content_type, most=100)
    assert (raised.value.status, raised.value.code) == (413, "payload_too_large")
    output(body, content_type, most=150)


_TYPES = st.one_of(
    st.sampled_from(["application/json", FORM, PARTS, "text/plain; charset=utf-16", "text/plain; charset=gb18030", ""]),
    st.text(st.characters(max_codepoint=255), max_size=60),
)
_BODIES = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(["--XyZ", "--", "\r\n", "a", ":", ";", "="])).map(
    lambda pieces: "".join(pieces).encode()
))  # fmt: skip


@given(body=_BODIES, content_type=_TYPES)
@example(body=b"x", content_type="text/plain; charset=undefined")
def test_whatever_is_sent_is_json_or_refused(body: bytes, content_type: str) -> None:
    assert _status_of(body, content_type) in {200, 422}


def _status_of(body: bytes, content_type: str) -> int:
    try:
        output(body, content_type)
    except Problem as problem:
        return problem.status
    return 200
