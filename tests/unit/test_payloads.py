"""Payloads are validated by annotation, outputs kept as strict JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict
from uuid import UUID

import pydantic
import pytest

from dataqueue.domain.job import Json
from dataqueue.errors import Invalid
from dataqueue.payloads import (
    ANYTHING,
    LARGEST_OUTPUT,
    InvalidOutput,
    InvalidPayload,
    clean,
    encode_output,
    reader_of,
)

SECRET = "s3cr3t"


class Mail(pydantic.BaseModel):
    to: str
    copies: int = 1


@dataclass
class Order:
    number: int


class Address(TypedDict):
    street: str
    number: NotRequired[int]


class Loose(TypedDict, total=False):
    home: Address
    label: Required[str]


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Pet(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Lost(pydantic.BaseModel):
    nowhere: "Undefined"  # type: ignore[name-defined]  # noqa: F821, UP037


class Opaque:
    pass


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (Mail, '{"to":"a"}', Mail(to="a")),
        (Order, '{"number":7}', Order(7)),
        (Address, '{"street":"x"}', {"street": "x"}),
        (Address, '{"street":"x","number":1}', {"street": "x", "number": 1}),
        (list[Address | None], '[null,{"street":"x"}]', [None, {"street": "x"}]),
        (Annotated[Loose, "a note"], '{"label":"b","home":{"street":"x"}}', {"label": "b", "home": {"street": "x"}}),
        (dict, '{"a":[1]}', {"a": [1]}),
        (dict[str, Any], "{}", {}),
        (dict[str, int], '{"a":1}', {"a": 1}),
        (list[int], "[1,2]", [1, 2]),
        (Mail | None, "null", None),
        (int, "123456789012345678901234567890", 123456789012345678901234567890),
        (ANYTHING, "[1]", [1]),
        (Any, "null", None),
        (datetime, '"2030-01-01T00:00:00Z"', datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_payload_becomes_what_the_annotation_says(annotation: object, payload: str, value: object) -> None:
    assert reader_of(annotation)(Json(payload)) == value


@pytest.mark.parametrize(
    ("annotation", "payload", "message"),
    [
        (Mail, "{}", "payload.to: Field required"),
        (Mail, '{"to":"a","copies":"s3cr3t"}', "payload.copies: Input should be a valid integer"),
        (Order, '{"number":null}', "payload.number: Input should be a valid integer"),
        (Address, "{}", "payload.street: Field required"),
        (Address, '{"street":"x","number":"s3cr3t"}', "payload.number: Input should be a valid integer"),
        (Loose, "{}", "payload.label: Field required"),
        (Loose, '{"label":"b","home":{}}', "payload.home.street: Field required"),
        (dict, '"s3cr3t"', "payload: Input should be an object"),
        (dict[str, int], '{"a":"s3cr3t"}', "payload.a: Input should be a valid integer"),
        (list[Mail], '[{"to":"a"},{}]', "payload.1.to: Field required"),
        (Pet, '{"pet":{"kind":"s3cr3t"}}', "payload.pet: Input tag does not match any of the expected tags"),
        (UUID, '"s3cr3t"', "payload: Input should be a valid UUID"),
    ],
)
def test_a_mismatch_names_the_field_and_repeats_no_value(annotation: object, payload: str, message: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        reader_of(annotation)(Json(payload))
    assert str(caught.value) == message
    assert SECRET not in str(caught.value)


def test_a_mismatch_in_many_places_is_told_in_a_few() -> None:
    with pytest.raises(InvalidPayload, match=r"and 990 more$"):
        reader_of(list[int])(Json("[" + ",".join(['"x"'] * 1000) + "]"))


def test_a_validator_that_breaks_is_a_mismatch() -> None:
    def broken(value: str) -> str:
        raise KeyError(value)

    with pytest.raises(InvalidPayload, match=r"raised KeyError$"):
        reader_of(Annotated[str, pydantic.AfterValidator(broken)])(Json('"s3cr3t"'))


@pytest.mark.parametrize("annotation", [Opaque, Lost, list["Undefined"]])  # type: ignore[name-defined]  # noqa: F821
def test_a_type_that_cannot_be_validated_is_refused_when_it_is_registered(annotation: object) -> None:
    with pytest.raises(Invalid, match="its payload cannot be validated"):
        reader_of(annotation)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        ("", '""'),
        ({"a": [1, None, True]}, '{"a":[1,null,true]}'),
        (Mail(to="a"), '{"to":"a","copies":1}'),
        ([Order(7)], '[{"number":7}]'),
        (datetime(2030, 1, 1, tzinfo=UTC), '"2030-01-01T00:00:00Z"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ("NaN and \\u0000 in a text", '"NaN and \\\\u0000 in a text"'),
        (10**30, "1" + "0" * 30),
        ("é😀", '"é😀"'),
    ],
)
def test_an_output_is_kept_as_json(value: object, text: str) -> None:
    assert encode_output(value) == text


def test_nothing_returned_is_no_output() -> None:
    assert encode_output(None) is None


class Measured(pydantic.BaseModel):
    value: float | None


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        {"a": math.inf},
        Measured(value=math.nan),
        [{"deep": Measured(value=-math.inf)}],
        "\0",
        {"\0": 1},
        "\ud800",
        b"\xff",
        Opaque(),
        ValueError("x"),
        "x" * (LARGEST_OUTPUT - 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_output_that_is_not_strict_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidOutput):
        encode_output(value)


def test_the_largest_output_is_kept() -> None:
    assert encode_output("x" * (LARGEST_OUTPUT - 2)) is not None


def test_a_null_in_a_model_is_no_nan() -> None:
    assert encode_output(Measured(value=None)) == '{"value":null}'


def test_an_output_that_contains_itself_is_refused() -> None:
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(InvalidOutput, match="Circular"):
        encode_output(circle)


def test_a_coroutine_returned_by_a_plain_function_is_explained() -> None:
    async def forgotten() -> None: ...

    with pytest.raises(InvalidOutput, match="async def"):
        encode_output(forgotten())


def test_messages_are_cleaned_and_cut() -> None:
    assert clean("a\0b\ud800c") == "a\ufffdb?c"
    assert len(clean("x" * 20_000)) == 10_000
