"""A query string as a model: every parameter known, none twice unless it is a list."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar, Final, TypeVar, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import invalid
from app.validation import problem_from

_MOST_PARAMETERS: Final = 1000
Q = TypeVar("Q", bound="Query")


class Query(BaseModel):
    """The parameters of a route. `not_built`: names of the contract whose feature is still to come."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    not_built: ClassVar[frozenset[str]] = frozenset()


class NoQuery(Query):
    """No parameters."""


def read_query(model: type[Q], query: bytes) -> Q:
    """The parameters; 422 for any that is unknown, malformed or repeated without meaning."""
    return _validated(model, _values(model, query) if query else {})


def _values(model: type[Query], query: bytes) -> dict[str, Any]:
    given: defaultdict[str, list[str]] = defaultdict(list)
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise invalid(("query",), f"must be at most {_MOST_PARAMETERS} parameters in percent-encoded UTF-8") from None
    for name, value in pairs:
        given[name].append(value)
    values: dict[str, Any] = {}
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, all_of_it in given.items():
        field = fields.get(name)
        if field is not None and get_origin(field.annotation) is list:
            values[name] = all_of_it
        elif field is not None and len(all_of_it) > 1:
            raise invalid(("query", name), "is given more than once")
        else:
            values[name] = all_of_it[0]
    return values


def _validated(model: type[Q], values: dict[str, Any]) -> Q:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise problem_from(error, at=("query",), not_built=model.not_built) from None
