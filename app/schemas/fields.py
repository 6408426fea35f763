"""Kinds of fields that several shapes share (contract 0, details B1, B7, B14, K7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.errors import Code
from dataqueue.domain.durations import LONGEST, SHORTEST, TEXT_PATTERN, UNITS, parse_duration
from dataqueue.domain.job import EARLIEST, LATEST
from dataqueue.domain.limits import LONGEST_KEY, LONGEST_TAG
from dataqueue.domain.names import NAME_PATTERN, NAME_RULE, is_name
from dataqueue.ids import is_uuid7

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_INSTANT: Final = re.compile(r"(\d{4})-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EXAMPLE_ID: Final = "01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61"


def refuse(message: str) -> PydanticCustomError:
    """The validator's way of saying no, in words that are safe to show."""
    return PydanticCustomError(Code.VALIDATION_FAILED, message)


def _name(value: str) -> str:
    if not is_name(value):
        raise refuse(f"must be {NAME_RULE}")
    return value


def _text(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError(Code.INVALID_JSON, "must not hold a NUL character")
    return value


def _uuid(value: object) -> UUID:
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    raise refuse("must be a UUID like 01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61")


def _own_id(value: object) -> UUID | None:
    if value is None:
        return None
    id = _uuid(value)
    if not is_uuid7(id):
        raise refuse("must be a UUID of version 7")
    return id


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    shape = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if shape is None or not isinstance(value, str):
        raise refuse("must be an RFC 3339 instant with an offset, like 2026-11-24T01:02:03Z")
    # First the year as written: converting the offset of year 1 or 9999 overflows.
    if not EARLIEST.year - 1 <= int(shape[1]) <= LATEST.year:
        raise refuse("must lie between the years 2000 and 2200")
    try:
        instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except ValueError:
        raise refuse("must be a date and time of the calendar") from None
    if not EARLIEST <= instant < LATEST:
        raise refuse("must lie between the years 2000 and 2200")
    return instant


def _moment(value: object) -> datetime:
    instant = _instant(value)
    if instant is None:
        raise refuse("must be an RFC 3339 instant with an offset, like 2026-11-24T01:02:03Z")
    return instant


def _duration(value: object, *, zero: bool) -> timedelta:
    try:
        return parse_duration(value, zero=zero)
    except ValueError as error:
        raise refuse(str(error)) from None


def _delay(value: object) -> timedelta | None:
    return None if value is None else _duration(value, zero=False)


def _seconds(value: object) -> float | None:
    return None if value is None else _duration(value, zero=True).total_seconds()


def _not_built(value: object) -> None:
    if value is not None and value is not False:
        raise PydanticCustomError(Code.NOT_AVAILABLE, "is not available yet")


def duration_schema(description: str, *, zero: bool = False) -> dict[str, Any]:
    """How a duration is documented. What its parts add up to is bounded too, which a schema cannot say."""
    least, most = 0 if zero else SHORTEST.total_seconds(), LONGEST.total_seconds()
    return {
        "description": description,
        "anyOf": [
            {"type": "number", "minimum": least, "maximum": most, "description": "Seconds."},
            {"type": "string", "minLength": 1, "pattern": f"^{TEXT_PATTERN}$", "examples": ["90s", "10m", "1h30m"]},
            {
                "type": "object",
                "properties": {
                    unit: {"type": "number", "minimum": 0, "maximum": most / seconds} for unit, seconds in UNITS.items()
                },
                "additionalProperties": False,
                "minProperties": 1,
            },
            {"type": "null"},
        ],
    }


UUID_SCHEMA: Final[dict[str, Any]] = {"type": "string", "format": "uuid", "examples": [_EXAMPLE_ID]}
_HEX: Final = "[0-9a-fA-F]"
_OWN_ID_SCHEMA: Final = {
    **UUID_SCHEMA, "pattern": f"^{_HEX}{{8}}-{_HEX}{{4}}-7{_HEX}{{3}}-[89abAB]{_HEX}{{3}}-{_HEX}{{12}}$"
}  # fmt: skip
_INSTANT_SCHEMA: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": "^2(0[0-9]{2}|1[0-9]{2}|200)-",
    "examples": ["2026-11-24T01:02:03.000004Z"],
}

Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$", "minLength": 1, "maxLength": 200}),
]
_NO_NUL: Final = Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
Tag = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TAG), AfterValidator(_text), _NO_NUL]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_KEY), AfterValidator(_text), _NO_NUL]
JobId = Annotated[UUID, PlainValidator(_uuid), WithJsonSchema(UUID_SCHEMA)]
OwnId = Annotated[UUID | None, PlainValidator(_own_id), WithJsonSchema({"anyOf": [_OWN_ID_SCHEMA, {"type": "null"}]})]
Instant = Annotated[
    datetime | None, PlainValidator(_instant), WithJsonSchema({"anyOf": [_INSTANT_SCHEMA, {"type": "null"}]})
]
Moment = Annotated[datetime, PlainValidator(_moment), WithJsonSchema(_INSTANT_SCHEMA)]
"""An instant that must be there."""
Delay = Annotated[timedelta | None, PlainValidator(_delay)]
Seconds = Annotated[float | None, PlainValidator(_seconds)]
NotBuilt = Annotated[
    None, PlainValidator(_not_built), WithJsonSchema({"enum": [None, False], "description": "Not available yet."})
]
