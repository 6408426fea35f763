"""What a third party posts to a callback URL, as JSON: its content type decides (contract 2, details E5)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic import ValidationError

from app.errors import Code, Problem, invalid
from app.json_text import AnyJson
from app.validation import problem_from
from dataqueue.domain.job import NULL, Json
from dataqueue.json_text import Unstorable, json_text

_AT: Final = ("body",)
_MOST_FIELDS: Final = 1000
_JSON: Final = re.compile(r"[^/]+/(?:.*[+.-])?json(?:[+.-].*)?")
"""Not ndjson or the like, which is several documents: those are kept as text."""
_PARAMETER: Final = re.compile(r';\s*([!#$%&\'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.ASCII)
_ESCAPE: Final = re.compile(r"\\(.)")
_BOUNDARY: Final = re.compile(r"[ -~]{0,69}[!-~]")
_DISPOSITION: Final = re.compile(r"content-disposition:\s*form-data\s*(;.*)", re.IGNORECASE)
_TYPE: Final = re.compile(r"content-type:\s*([^;]*)(;.*)?", re.IGNORECASE)
_CHARSETS: Final = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|shift_jis\w*|euc_\w+|gb\w+|big5\w*"
)
"""Codecs that decode text; Python knows others, which unpack or interpret it."""


def output_of(body: bytes, content_type: str, *, most: int) -> Json:
    """The output that a body stands for.

    JSON is parsed, a form becomes an object, any other text is kept as a string; nothing is null. Without a content
    type it is JSON, unless it does not parse.
    """
    if not body:
        return NULL
    media_type, _, rest = content_type.partition(";")
    media_type, parameters = media_type.strip().lower(), _parameters(f";{rest}")
    if not media_type:
        output = _json_or_text(body)
    elif _JSON.fullmatch(media_type):
        output = json_output(body)
    elif media_type == "application/x-www-form-urlencoded":
        output = _stored(_form(_urlencoded(body, parameters)))
    elif media_type == "multipart/form-data":
        output = _stored(_form(_multipart(body, parameters)))
    else:
        output = _stored(_text(body, parameters))
    check_output_size(output, most)
    return output


def json_output(body: bytes) -> Json:
    """The output in a body of JSON; nothing is null. 422 for what is none, or could not be given back equal."""
    if not body:
        return NULL
    try:
        return AnyJson.validator.validate_json(body)  # type: ignore[no-any-return]  # what `json_text` made of it
    except ValidationError as error:
        raise problem_from(error, at=_AT) from None


def check_output_size(output: Json, most: int) -> None:
    """413 for more bytes than that."""
    if len(output.encode()) > most:
        raise Problem(413, Code.PAYLOAD_TOO_LARGE, f"The output is larger than the limit of {most} bytes.")


def _json_or_text(body: bytes) -> Json:
    try:
        return json_output(body)
    except Problem:
        return _stored(_text(body, {}))


def _stored(value: Any) -> Json:
    try:
        return json_text(value)
    except Unstorable as error:
        raise invalid(_AT, str(error), Code.INVALID_JSON) from None


def _form(fields: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    form: dict[str, str | list[str]] = {}
    for name, value in fields:
        earlier = form.get(name)
        if isinstance(earlier, list):
            earlier.append(value)
        else:
            form[name] = value if earlier is None else [earlier, value]
    return form


def _urlencoded(body: bytes, parameters: dict[str, str]) -> list[tuple[str, str]]:
    charset = _charset(parameters)
    try:
        text = body.decode(charset)
        return parse_qsl(text, keep_blank_values=True, encoding=charset, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise invalid(_AT, f"must be a form of at most {_MOST_FIELDS} fields in its charset") from None


def _multipart(body: bytes, parameters: dict[str, str]) -> Iterator[tuple[str, str]]:
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _no_multipart()
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if not parts or not parts[-1].startswith(b"--"):
        raise _no_multipart()
    if len(parts) > _MOST_FIELDS + 1:
        raise invalid(_AT, f"must be a form of at most {_MOST_FIELDS} fields")
    return (_field(part) for part in parts[:-1])


def _field(part: bytes) -> tuple[str, str]:
    padding, begins, rest = part.partition(b"\r\n")
    # A part without headers begins with the empty line that ends them.
    head, ends, value = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not begins or not ends:
        raise _no_multipart()
    try:
        headers = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _no_multipart() from None
    name, parameters = None, dict[str, str]()
    for header in headers:
        if disposition := _DISPOSITION.fullmatch(header):
            of_field = _parameters(disposition[1])
            if "filename" in of_field or "filename*" in of_field:
                raise invalid(_AT, "holds a file: only text fields can be kept")
            name = of_field.get("name")
        elif of_type := _TYPE.fullmatch(header):
            parameters = _parameters(of_type[2] or "")
    if name is None:
        raise _no_multipart()
    return name, _text(value, parameters)


def _parameters(text: str) -> dict[str, str]:
    """Those after a media type or the like, the first of each name."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        found.setdefault(name.lower(), _ESCAPE.sub(r"\1", quoted) if quoted else plain)
    return found


def _text(body: bytes, parameters: dict[str, str]) -> str:
    try:
        return body.decode(_charset(parameters))
    except ValueError:
        raise invalid(_AT, "is not text in its charset") from None


def _charset(parameters: dict[str, str]) -> str:
    try:
        codec = codecs.lookup(parameters.get("charset") or "utf-8").name
    except (LookupError, ValueError):
        codec = ""
    if not _CHARSETS.fullmatch(codec):
        raise invalid(_AT, "is in a charset that is not known here")
    return codec


def _no_multipart() -> Problem:
    return invalid(_AT, "is not the multipart/form-data that its content type says")
