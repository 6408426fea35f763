"""A caller's value as JSON text that every backend stores and gives back equal (traps 2.5)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, TypeAdapter
from pydantic_core import PydanticCustomError, to_json

from app.errors import Code
from dataqueue.domain.job import Json
from dataqueue.json_text import Unstorable, check_depth, check_values


def json_text(value: Any) -> Json:
    """The text of a parsed value. Refuses what PostgreSQL, or the next reader's parser, would not take."""
    text = to_json(value)
    try:
        check_values(text)
        check_depth(text)
    except Unstorable as error:
        raise PydanticCustomError(Code.INVALID_JSON, str(error)) from None
    return Json(text.decode())


AnyJson: Final = TypeAdapter[Json](Annotated[Any, AfterValidator(json_text)])
"""Any value, read from the bytes of a body."""
