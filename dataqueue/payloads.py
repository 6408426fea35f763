"""What a handler is given and what it gives back: values on its side, JSON text on ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import pydantic
from pydantic_core import from_json

from dataqueue.domain.job import Json
from dataqueue.errors import Invalid
from dataqueue.json_text import Unstorable, strict_json
from dataqueue.typed_dicts import validatable

LARGEST_OUTPUT: Final = 1 << 20
LONGEST_MESSAGE: Final = 10_000
_MOST_ERRORS: Final = 10
_LONGEST_KEY: Final = 100

ANYTHING: Final = object()
"""The annotation of a payload that has none."""


class InvalidPayload(Exception):
    """The payload is not what the handler takes. The message names the fields and repeats no value."""


class InvalidOutput(Exception):
    """What the handler returned cannot be kept as JSON."""


def reader_of(annotation: Any) -> Callable[[Json], Any]:
    """What turns a payload into the value a handler's annotation asks for, or raises InvalidPayload.

    Invalid: pydantic knows no way to validate such a type.
    """
    if annotation in (ANYTHING, Any, object):
        return _parse
    if annotation in (dict, dict[str, Any], dict[str, object]):
        return _parse_object
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(validatable(annotation))
        if not adapter.pydantic_complete:
            adapter.rebuild(raise_errors=True)
    # Pydantic calls into the type, which may raise what it likes.
    except Exception as error:
        raise Invalid(f"its payload cannot be validated: {_first_line(error)}") from error

    def read(payload: Json) -> Any:
        try:
            return adapter.validate_json(payload)
        except pydantic.ValidationError as error:
            raise InvalidPayload(_named(error)) from None
        # A validator of the author's that broke on this payload would break on it again.
        except Exception as error:
            raise InvalidPayload(f"payload: its validation raised {type(error).__name__}") from error

    return read


def encode_output(value: object) -> Json | None:
    """A handler's return value as JSON text; None means that there is none. Raises InvalidOutput."""
    if value is None:
        return None
    try:
        text = strict_json(value)
    except Unstorable as error:
        if inspect.iscoroutine(value):
            value.close()
            raise InvalidOutput("the handler returned a coroutine: make it `async def`") from None
        raise InvalidOutput(f"the output {error}") from error.__cause__
    if len(text) > LARGEST_OUTPUT:
        raise InvalidOutput(f"the output is {len(text)} bytes of JSON; at most {LARGEST_OUTPUT} can be kept")
    return Json(text.decode())


def clean(text: str, *, most: int = LONGEST_MESSAGE) -> str:
    """Text that every storage keeps: no NUL, no lone surrogate, not longer than `most`."""
    return text[:most].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _parse(payload: Json) -> Any:
    try:
        return from_json(payload)
    except ValueError:
        raise InvalidPayload("payload: it is not JSON that can be read") from None


def _parse_object(payload: Json) -> Any:
    value = _parse(payload)
    if type(value) is not dict:
        raise InvalidPayload("payload: Input should be an object")
    return value


def _named(error: pydantic.ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{_path(item['loc'])}: {_said(item['type'], item['msg'])}" for item in errors[:_MOST_ERRORS]]
    if len(errors) > _MOST_ERRORS:
        lines.append(f"and {len(errors) - _MOST_ERRORS} more")
    return "; ".join(lines)


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(["payload", *(str(part)[:_LONGEST_KEY] for part in loc)])


def _said(kind: str, message: str) -> str:
    """Pydantic's message without the parts that repeat the input."""
    if kind == "union_tag_invalid":
        return "Input tag does not match any of the expected tags"
    return message.partition(", ")[0] if kind.endswith("_parsing") else message


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:500]
