"""`typing.TypedDict` before Python 3.12, which pydantic takes only in its later form."""

from __future__ import annotations

import functools
import operator
import sys
from types import UnionType
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions


def validatable(annotation: Any) -> Any:
    """The annotation, with every TypedDict in it in a form that pydantic validates."""
    return annotation if sys.version_info >= (3, 12) else _rebuilt(annotation)


def _rebuilt(annotation: Any) -> Any:
    if is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return _later_form(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return Annotated[(_rebuilt(arguments[0]), *arguments[1:])]
    rebuilt = tuple(map(_rebuilt, arguments))
    if rebuilt == arguments:
        return annotation
    if isinstance(annotation, UnionType):
        return functools.reduce(operator.or_, rebuilt)
    return annotation.copy_with(rebuilt) if hasattr(annotation, "copy_with") else get_origin(annotation)[rebuilt]


def _later_form(typed_dict: Any) -> Any:
    fields = {}
    for name, hint in get_type_hints(typed_dict, include_extras=True).items():
        # Said of the field itself, it counts more than what the class says of all.
        said = get_origin(hint)
        optional = said is NotRequired or (said is not Required and name in typed_dict.__optional_keys__)
        kind = _rebuilt(get_args(hint)[0] if said in (Required, NotRequired) else hint)
        fields[name] = NotRequired[kind] if optional else kind
    return typing_extensions.TypedDict(typed_dict.__name__, fields)  # type: ignore[operator]
