"""Teaches schemathesis NDJSON, where the document's schema is that of a line (details C17)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import schemathesis

NDJSON: Final = "application/x-ndjson"


def with_lists_of_lines(document: dict[str, Any]) -> dict[str, Any]:
    """The document, a body of lines being said to be the list of them."""
    document = deepcopy(document)
    for path in document["paths"].values():
        for operation in path.values():
            for body in (operation.get("requestBody", {}), *operation["responses"].values()):
                if (media := body.get("content", {}).get(NDJSON)) is not None:
                    media["schema"] = {"type": "array", "items": media["schema"]}
                    media["example"] = list(_parsed(media["example"].encode()))
    return document


@schemathesis.serializer(NDJSON)
def written(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """A line for each item. What should have been a list, and is none, becomes a line."""
    items = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


@schemathesis.deserializer(NDJSON)
def lines(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> list[Any]:
    return list(_parsed(response.content))


def rejected(response: schemathesis.Response) -> list[dict[str, str]]:
    """Why lines of an import were rejected."""
    return [line["error"] for line in _parsed(response.content) if "error" in line]


def _parsed(text: bytes) -> Iterator[Any]:
    return (json.loads(line) for line in text.split(b"\n") if line)
