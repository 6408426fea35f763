"""Lists of jobs: the query for a filter, always walking indexes from the newest job down.

Every status is a walk of its own, cut at the page's size; their newest rows are the page. The statuses stand in the
text, not in a parameter, so that the planner sees which partial index each walk may use.
"""

from __future__ import annotations

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus
from dataqueue.storage.postgres.statements import Statement, numbered

_NEWEST = "order by seq desc limit :limit"


def page_query(matching: JobFilter, *, goes_on: bool) -> Statement:
    """A page of `job_read`, newest first. Takes `namespace_id` and `limit`, `job_types` when the filter has some, and
    `before`, the `seq` to go on from, when it `goes_on`."""
    older = " and seq < :before" if goes_on else ""
    if matching == JobFilter():
        walks = [f"(select id, seq from dataqueue.job_spec where namespace_id = :namespace_id{older} {_NEWEST})"]
    else:
        walk = _walk_of_types if matching.job_types else _walk_of_namespace
        walks = [walk(status, older) for status in matching.statuses or JobStatus]
    return numbered(f"""
        select * from dataqueue.job_read where namespace_id = :namespace_id and id = any(array(
            select id from ({" union all ".join(walks)}) as walked {_NEWEST}
        )) order by seq desc""")


def _walk_of_namespace(status: JobStatus, older: str) -> str:
    return f"""
        (select id, seq from dataqueue.job
        where namespace_id = :namespace_id and status = '{status.value}'{older} {_NEWEST})"""


def _walk_of_types(status: JobStatus, older: str) -> str:
    return f"""
        (select j.id, j.seq from dataqueue.job_type t cross join lateral (
            select id, seq from dataqueue.job
            where job_type_id = t.id and status = '{status.value}'{older} {_NEWEST}
        ) as j where t.namespace_id = :namespace_id and t.name = any(cast(:job_types as text[])))"""
