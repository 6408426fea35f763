"""What a statement read, from the plan that the server says it executed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.statements import Statement, numbered, source_of

Node = dict[str, Any]


class _Undone(Exception):
    """What was explained was also done; this rolls it back."""


class Explained:
    """The plan of one execution of one of our statements."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def buffers(self) -> int:
        """Buffers read, found in memory or not."""
        return sum(_own_buffers(node) for node in walk(self._root))

    def buffers_for(self, index: str) -> int:
        """Those of them that were read to find rows by an index."""
        return sum(_own_buffers(node) for node in walk(self._root) if node.get("Index Name") == index)

    def indexes_used(self) -> set[str]:
        return {node["Index Name"] for node in walk(self._root) if "Index Name" in node}

    def tables_read_whole(self) -> set[str]:
        return {node["Relation Name"] for node in walk(self._root) if node["Node Type"] == "Seq Scan"}


@asynccontextmanager
async def explaining(database: Database, verb: str) -> AsyncIterator[list[Explained]]:
    """While the block runs, the statement `verb` is tried under EXPLAIN ANALYZE each time before it is executed."""
    plans: list[Explained] = []
    run = database.run

    async def run_explained(name: str, /, **parameters: object) -> Sequence[Row]:
        if name != verb:
            return await run(name, **parameters)
        explain = numbered(f"explain (analyze, buffers, format json) {source_of(name)}")
        given = {**parameters, "at": None}
        with suppress(_Undone):
            async with database.transaction() as connection:
                plan = await connection.fetchval(explain.sql, *[given[each] for each in explain.names])
                raise _Undone
        plans.append(Explained(json.loads(plan)[0]["Plan"]))
        return await run(name, **parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "run", run_explained)
        yield plans


@asynccontextmanager
async def explaining_each(database: Database) -> AsyncIterator[list[Explained]]:
    """While the block runs, each of our statements is tried under EXPLAIN ANALYZE before it is executed."""
    plans: list[Explained] = []
    fetch = database._fetch

    async def fetch_explained(connection: Any, query: Statement, parameters: dict[str, object]) -> list[Row]:
        given = {**parameters, "at": None}
        with suppress(_Undone):
            async with connection.transaction():
                plan = await connection.fetchval(
                    f"explain (analyze, buffers, format json) {query.sql}", *[given[name] for name in query.names]
                )
                raise _Undone
        plans.append(Explained(json.loads(plan)[0]["Plan"]))
        return await fetch(connection, query, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_fetch", fetch_explained)
        yield plans


def walk(node: Node) -> Iterator[Node]:
    """A node of a plan and all beneath it."""
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def _own_buffers(node: Node) -> int:
    """A node's count holds its children's; a CTE's is also in the count of whoever reads it first."""
    if node["Node Type"] == "CTE Scan":
        return 0
    children = [child for child in node.get("Plans", ()) if not child.get("Subplan Name", "").startswith("CTE ")]
    return _counted(node) - sum(map(_counted, children))


def _counted(node: Node) -> int:
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])
