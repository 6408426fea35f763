"""Lists of tokens, a page at a time, each at a bounded cost."""

from __future__ import annotations

from typing import Final

from dataqueue.domain.filters import TagMode
from dataqueue.domain.tokens import Token, TokenFilter, TokenPosition
from dataqueue.storage.answers import TokenPage
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.rows import token_of
from dataqueue.storage.postgres.statements import Statement, numbered, source_of

_NEWEST: Final = "order by t.created_at desc, t.id desc"
_HAS_TAGS: Final = {
    TagMode.ALL: "t.tags @> cast(:tags as text[])",
    TagMode.EXACT: "t.tags @> cast(:tags as text[]) and t.tags <@ cast(:tags as text[])",
    TagMode.ANY: "t.tags && cast(:tags as text[])",
    TagMode.NONE: "(t.tags is null or not t.tags && cast(:tags as text[]))",
}
_MOST_LOOKED_AT: Final = 50_000
_GROWTH: Final = 4
_LARGEST: Final = 16 << 20
"""As of pages of jobs."""


class TokenPages:
    """Reads pages. By its tags a token is looked for on a walk over ever more candidates, given up for this page after
    `_MOST_LOOKED_AT` of them: the next page goes on from there. So it does where a page comes to `_LARGEST` bytes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, namespace: str, namespace_id: int, matching: TokenFilter, *, before: TokenPosition | None, limit: int
    ) -> TokenPage:
        tokens: list[Token] = []
        budget, looked_at, size = limit + 1, 0, 0
        while True:
            rows, end = await self._look(
                namespace_id, matching, before, limit=limit + 1 - len(tokens), budget=budget, most=_LARGEST - size
            )
            tokens += [token_of(row, namespace) for row in rows]
            size += sum(row.size for row in rows)
            if len(tokens) > limit:
                return TokenPage(tokens[:limit], _position_of(tokens[limit - 1]))
            if rows and rows[0].found > len(rows):
                return TokenPage(tokens, _position_of(tokens[-1]))
            if end is None:
                return TokenPage(tokens, None)
            before = end
            looked_at += budget
            if looked_at >= _MOST_LOOKED_AT or size >= _LARGEST:
                return TokenPage(tokens, before)
            budget = min(budget * _GROWTH, _MOST_LOOKED_AT - looked_at)

    async def _look(
        self, namespace_id: int, matching: TokenFilter, before: TokenPosition | None, *, limit: int, budget: int,
        most: int,
    ) -> tuple[list[Row], TokenPosition | None]:  # fmt: skip
        """What matches, and where the budget ran out; None: it did not."""
        rows = await self._database.select(
            _query(matching, before is not None), namespace_id=namespace_id, limit=limit, budget=budget, most=most,
            job_id=matching.job_id, tags=list(matching.tags),
            before_at=None if before is None else before.created_at, before_id=None if before is None else before.id,
        )  # fmt: skip
        last = rows[0]
        end = None if last.last_id is None else TokenPosition(last.last_at, last.last_id)
        return [row for row in rows if row.id is not None], end


def _query(matching: TokenFilter, goes_on: bool) -> Statement:
    """The walks of an index, merged: that of a job's tokens, of each status, or of all."""
    window = " and (t.created_at, t.id) < (:before_at, :before_id)" if goes_on else ""
    owner = "t.namespace_id = :namespace_id"
    if matching.job_id is not None:
        names = ", ".join(f"'{status.value}'" for status in matching.statuses)
        of_status = f" and t.status in ({names})" if names else ""
        walks = [f"{owner} and t.job_id = :job_id{of_status}"]
    elif matching.statuses:
        walks = [f"{owner} and t.status = '{status.value}'" for status in dict.fromkeys(matching.statuses)]
    else:
        walks = [owner]
    walked = " union all ".join(
        f"(select t.* from dataqueue.token t where {where}{window} {_NEWEST} limit :budget)" for where in walks
    )
    has_tags = f"where {_HAS_TAGS[matching.tag_mode]}" if matching.tags else ""
    return numbered(f"""
        with candidate as materialized (
            select t.* from ({walked}) as t {_NEWEST} limit :budget
        ), last as (
            select t.created_at as last_at, t.id as last_id from candidate t {_NEWEST}
            offset cast(:budget as bigint) - 1 limit 1
        ), found as materialized (
            select t.* from candidate t {has_tags} {_NEWEST} limit :limit
        )
        select short.*, last.last_at, last.last_id
        from (select 1) as one left join last on true left join lateral (
            select * from (
                select {source_of("lib/token_as_read")}, sized.size, count(*) over () as found,
                    sum(sized.size) over ({_NEWEST} rows between unbounded preceding and 1 preceding) as size_before
                from found t cross join lateral (
                    select coalesce(octet_length(cast(t.output as text)), 0) as size) as sized
            ) as t where coalesce(size_before, 0) < cast(:most as bigint)
        ) as short on true order by short.created_at desc, short.id desc""")


def _position_of(token: Token) -> TokenPosition:
    return TokenPosition(token.created_at, token.id)
