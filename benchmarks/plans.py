"""Plans of the statements in production, with the buffers they touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import asyncpg

from dataqueue.storage.postgres.statements import Statement, numbered, source_of

_CTE: Final = "CTE "
_LONGEST: Final = 100


class Explained(NamedTuple):
    """One execution: buffers touched (hit or read), and the plan in short."""

    buffers: int
    plan: str


async def explained(connection: asyncpg.Connection, verb: str, **parameters: object) -> Explained:
    """Execute a statement of `sql/` and explain it."""
    return await explained_query(connection, numbered(source_of(verb)), **parameters)


async def explained_query(connection: asyncpg.Connection, query: Statement, **parameters: object) -> Explained:
    """Execute a statement and explain it."""
    explain = "explain (analyze, buffers, costs off, timing off, format json) " + query.sql
    document = await connection.fetchval(explain, *[parameters[name] for name in query.names])
    root = json.loads(document)[0]["Plan"]
    return Explained(_total(root), "\n".join(_lines(root, depth=0)))


def _buffers(node: dict[str, Any]) -> int:
    return int(node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0))


def _total(root: dict[str, Any]) -> int:
    """The root's own count, and that of the writes that nothing reads from: they run after it."""
    nodes = list(_walk(root))
    read = {node["CTE Name"] for node in nodes if node["Node Type"] == "CTE Scan"}
    return _buffers(root) + sum(
        _buffers(node)
        for node in nodes
        if node.get("Subplan Name", "").startswith(_CTE) and node["Subplan Name"].removeprefix(_CTE) not in read
    )


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def _condition(node: dict[str, Any]) -> str:
    if "Index Cond" not in node:
        return ""
    condition = str(node["Index Cond"]).removeprefix("(").removesuffix(")")
    return f"  {condition if len(condition) <= _LONGEST else condition[:_LONGEST] + ' …'}"


def _lines(node: dict[str, Any], *, depth: int) -> Iterator[str]:
    """A line a node that touched buffers: what it did, on what, rows, buffers with those of the nodes beneath."""
    if name := node.get("Subplan Name"):
        depth += 1
    if _buffers(node) and node["Node Type"] not in {"Sort", "Limit", "Subquery Scan", "Result"}:
        what = node.get("Operation") if node["Node Type"] == "ModifyTable" else node["Node Type"]
        on = node.get("Index Name") or node.get("CTE Name") or node.get("Relation Name") or ""
        rows = int(node["Actual Rows"] * node["Actual Loops"])
        label = f"{name}: " if name else ""
        yield f"{'  ' * depth}{label}{what} {on}  rows={rows} buffers={_buffers(node)}{_condition(node)}"
        depth += 1
    for child in node.get("Plans", ()):
        yield from _lines(child, depth=depth)
