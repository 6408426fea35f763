"""Lists of jobs: the query for a filter, always walking one index from the newest job down."""

from __future__ import annotations

from sqlalchemy import TextClause, text

from dataqueue.domain.filters import JobFilter


def page_query(matching: JobFilter, *, before: int | None, limit: int) -> TextClause:
    """A page of `job_read`, newest first; takes `namespace_id` besides."""
    conditions = ["namespace_id = :namespace_id"]
    given: dict[str, object] = {"limit": limit}
    if matching.statuses:
        conditions.append("status = any(cast(:statuses as text[]))")
        given["statuses"] = [status.value for status in matching.statuses]
    if matching.job_types:
        conditions.append(
            "job_type_id in (select id from dataqueue.job_type where namespace_id = :namespace_id"
            " and name = any(cast(:job_types as text[])))"
        )
        given["job_types"] = list(matching.job_types)
    if before is not None:
        conditions.append("seq < :before")
        given["before"] = before
    sql = f"select * from dataqueue.job_read where {' and '.join(conditions)} order by seq desc limit :limit"
    return text(sql).bindparams(**given)
