"""Filters as SQL: an index is walked from the newest job down, and what it does not decide is looked at job by job.

Lists go by (created_at, seq). Which index is walked depends on the filter alone: the rarest thing it names. The walk is
cut at a budget, so no list costs more than that, however few of the jobs on its way match.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dataqueue.domain.filters import JobFilter, Position, Range, TagMode
from dataqueue.domain.job import JobStatus
from dataqueue.storage.postgres.statements import Statement, numbered, source_of

_NEWEST: Final = "order by created_at desc, seq desc"
_BOUNDS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "="}
_HAS_TAGS: Final = {
    TagMode.ALL: "s.tags @> cast(:tags as text[])",
    TagMode.EXACT: "s.tags @> cast(:tags as text[]) and cardinality(s.tags) = cardinality(cast(:tags as text[]))",
    TagMode.ANY: "s.tags && cast(:tags as text[])",
    TagMode.NONE: "(s.tags is null or not s.tags && cast(:tags as text[]))",
}
_RAREST_TAG: Final = """(
    select wanted_tag from unnest(cast(:tags as text[])) as wanted_tag
    left join dataqueue.tag_count c on c.namespace_id = :namespace_id and c.tag = wanted_tag collate "C"
    order by c.pending + c.processing + c.waiting + c.completed + c.failed + c.cancelled nulls first limit 1)"""


@dataclass(frozen=True, slots=True)
class Search:
    """A filter as SQL. `candidates` are rows of `alias` (its id, created_at and seq at least), newest first, at most
    `:budget`; `rest` holds for those that match; `parameters` are what both take besides `namespace_id` and `budget`.
    """

    alias: str
    candidates: str
    rest: str
    parameters: dict[str, object]

    @property
    def is_exact(self) -> bool:
        """Whether every candidate matches."""
        return not self.rest

    @property
    def matching(self) -> str:
        """`from` and `where` of the candidates that match."""
        return f"from ({self.candidates}) as {self.alias} {self.rest}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a filter names more than one of, and which of them few jobs have. By default what is named most narrowly."""

    tags_are_rarer: bool = True
    """Than what stands where statuses and types say."""
    types_are_rarer: bool = True
    """Than the statuses, in the whole namespace."""


def search(matching: JobFilter, *, before: Position | None, sizes: Sizes | None = None) -> Search:
    """How to find what matches, beginning after a position."""
    sizes = sizes or Sizes()
    parameters: dict[str, object] = {}
    window = _range("created_at", matching.created_at, parameters)
    if before is not None:
        window += " and (created_at, seq) < (:before_at, :before_seq)"
        parameters |= {"before_at": before.created_at, "before_seq": before.seq}
    of_job, of_spec = _conditions(matching, parameters)
    if matching.cron_id is not None:
        return _by_spec("cron_id", f"cron_id = :cron_id{window}", of_job, of_spec, parameters)
    standing = bool(matching.statuses or matching.job_types)
    if _names_tags(matching) and (sizes.tags_are_rarer or not standing):
        return _by_tag(matching, window, of_job, of_spec, parameters)
    if matching.group_id is not None:
        return _by_spec("group_id", f"group_id = :group_id{window}", of_job, of_spec, parameters)
    if _begins(matching.run_at) and not standing:
        return _by_run_at(matching, window, of_job, of_spec, parameters)
    if matching.priority and not standing:
        return _by_spec("rank", f"rank = :rank and rank <> 0{window}", of_job, of_spec, parameters)
    if matching.job_types and (not matching.statuses or (_names_completed(matching) and sizes.types_are_rarer)):
        return _by_type(matching, window, of_job, of_spec, parameters)
    if standing:
        return _by_status(matching, window, of_job, of_spec, parameters)
    return _by_spec("", f"true{window}", of_job, of_spec, parameters)


def under_lock(matching: JobFilter) -> tuple[list[str], list[str]]:
    """What may have become untrue of a job since it was found, as conditions on its locked row of `job` (j), and of
    `job_spec` (s). They take parameters of the search."""
    of_job, of_spec = _conditions(matching, {})
    rank = ["j.rank = :rank"] if "rank" in of_spec else []
    return [*of_job.values(), *rank], [of_spec["tags"]] if "tags" in of_spec else []


def sizes_query(matching: JobFilter) -> Statement | None:
    """What is rarer, by the counts as they were last folded; None when the filter leaves nothing to choose."""
    by_both = bool(matching.job_types) and _names_completed(matching)
    if not by_both and not (_names_tags(matching) and (matching.statuses or matching.job_types)):
        return None
    standing = " + ".join(status.value for status in matching.statuses or JobStatus)
    everything = " + ".join(status.value for status in JobStatus)
    of_types = f"job_type_id in ({_TYPE_IDS})" if matching.job_types else "true"
    return numbered(f"""
        select tagged.n <= counted.standing as tags_are_rarer,
            counted.of_types <= counted.of_statuses as types_are_rarer
        from (select coalesce({"sum" if matching.tag_mode is TagMode.ANY else "min"}({everything}), 0) as n
                from dataqueue.tag_count
                where namespace_id = :namespace_id and tag = any(cast(:tags as text[]))) as tagged,
            (select coalesce(sum({standing}) filter (where {of_types}), 0) as standing,
                coalesce(sum({everything}) filter (where {of_types}), 0) as of_types,
                coalesce(sum({standing}), 0) as of_statuses
                from dataqueue.type_count where namespace_id = :namespace_id) as counted""")


def page_query(found: Search) -> Statement:
    """Jobs as read, newest first: those that match, at most `:limit`, and of them as many as come to about `:most`
    bytes. `size` is that of a job, `found` how many there are without that limit."""
    newest = f"order by {found.alias}.created_at desc, {found.alias}.seq desc limit :limit"
    if found.alias == "j":
        wanted = f"wanted as materialized (select j.* {found.matching} {newest})"
    else:
        wanted = f"""picked as materialized (select {found.alias}.id {found.matching} {newest}),
            wanted as materialized (select * from dataqueue.job where id = any(array(select id from picked)))"""
    return numbered(f"""
        select read.*, {source_of("lib/steps_as_read")} from (
            select read.*, size, count(*) over () as found,
                sum(size) over ({_NEWEST} rows between unbounded preceding and 1 preceding) as size_before
            from (with {wanted} {source_of("lib/job_as_read")}) as read cross join lateral (
                select octet_length(cast(payload as text)) + coalesce(octet_length(cast(output as text)), 0)
                    + pg_column_size(error_history) + case when not has_steps then 0 else (
                        select coalesce(sum(octet_length(cast(value as text))), 0) from dataqueue.step
                        where job_id = read.id) end as size
            ) as sized
        ) as read where coalesce(size_before, 0) < cast(:most as bigint) {_NEWEST}""")


def last_candidate_query(found: Search) -> Statement:
    """The position at which the budget ran out; no row when it did not."""
    return numbered(f"""
        select created_at, seq from ({found.candidates}) as candidate {_NEWEST}
        offset cast(:budget as bigint) - 1 limit 1""")


def _conditions(matching: JobFilter, parameters: dict[str, object]) -> tuple[dict[str, str], dict[str, str]]:
    """What must hold of a row of `job` (j), and of one of `job_spec` (s), by what it is about."""
    of_job: dict[str, str] = {}
    of_spec: dict[str, str] = {}
    if matching.statuses:
        # In the text, not in a parameter: the planner then sees which partial index serves.
        names = ", ".join(f"'{status.value}'" for status in matching.statuses)
        of_job["status"] = f"j.status in ({names})"
    if bounds := _range("run_at", matching.run_at, parameters):
        of_job["run_at"] = bounds.removeprefix(" and ").replace("run_at ", "j.run_at ")
    if matching.job_types:
        of_spec["job_type"] = f"s.job_type_id in ({_TYPE_IDS})"
        parameters["job_types"] = list(matching.job_types)
    if matching.priority is not None:
        of_spec["rank"] = "s.rank = :rank"
        parameters["rank"] = -matching.priority
    if matching.group_id is not None:
        of_spec["group_id"] = "s.group_id = :group_id"
        parameters["group_id"] = matching.group_id
    if matching.cron_id is not None:
        of_spec["cron_id"] = "s.cron_id = :cron_id"
        parameters["cron_id"] = matching.cron_id
    if matching.tags:
        of_spec["tags"] = _HAS_TAGS[matching.tag_mode]
        parameters["tags"] = list(matching.tags)
    return of_job, of_spec


_TYPE_IDS: Final = """
    select id from dataqueue.job_type where namespace_id = :namespace_id and name = any(cast(:job_types as text[]))"""


def _by_spec(
    index: str, where: str, of_job: dict[str, str], of_spec: dict[str, str], parameters: dict[str, object]
) -> Search:
    candidates = f"""
        select * from dataqueue.job_spec where namespace_id = :namespace_id and {where} {_NEWEST} limit :budget"""
    rest = [condition for about, condition in of_spec.items() if about != index]
    return Search("s", candidates, _rest(_joined("job j", "s", of_job.values()), rest), parameters)


def _by_type(
    matching: JobFilter, window: str, of_job: dict[str, str], of_spec: dict[str, str], parameters: dict[str, object]
) -> Search:
    walks = " union all ".join(
        f"(select * from dataqueue.job_spec where job_type_id = {type_id}{window} {_NEWEST} limit :budget)"
        for type_id in _type_ids(matching)
    )
    candidates = f"select * from ({walks}) as walked {_NEWEST} limit :budget"
    rest = [condition for about, condition in of_spec.items() if about != "job_type"]
    return Search("s", candidates, _rest(_joined("job j", "s", of_job.values()), rest), parameters)


def _by_status(
    matching: JobFilter, window: str, of_job: dict[str, str], of_spec: dict[str, str], parameters: dict[str, object]
) -> Search:
    # The index by type has no completed jobs, which all jobs become: it would be one more entry for each of them.
    by_type = bool(matching.job_types) and not _names_completed(matching)
    owners = (
        [f"job_type_id = {type_id}" for type_id in _type_ids(matching)] if by_type else ["namespace_id = :namespace_id"]
    )
    walks = " union all ".join(
        f"""(select * from dataqueue.job where {owner} and status = '{status.value}'{window} {_NEWEST} limit :budget)"""
        for owner in owners
        for status in matching.statuses or JobStatus
    )
    candidates = f"select * from ({walks}) as walked {_NEWEST} limit :budget"
    rest = [condition for about, condition in of_job.items() if about != "status"]
    if matching.job_types and not by_type:
        rest.append(f"j.job_type_id in ({_TYPE_IDS})")
    if "rank" in of_spec:
        rest.append("j.rank = :rank")
    others = [condition for about, condition in of_spec.items() if about not in ("job_type", "rank")]
    return Search("j", candidates, _rest(_joined("job_spec s", "j", others), rest), parameters)


def _by_tag(
    matching: JobFilter, window: str, of_job: dict[str, str], of_spec: dict[str, str], parameters: dict[str, object]
) -> Search:
    walk = f"""
        select job_id as id, created_at, seq from dataqueue.job_tag
        where namespace_id = :namespace_id and tag = {{tag}}{window} {_NEWEST} limit :budget"""
    decided = len(matching.tags) == 1 and matching.tag_mode is not TagMode.EXACT
    if matching.tag_mode is TagMode.ANY and len(matching.tags) > 1:
        # A job of several tags is met on several walks. Each may take the whole budget, so that what is left after the
        # duplicates are gone is complete down to the last of it.
        candidates = f"""
            select * from (
                select distinct walked.* from unnest(cast(:tags as text[])) as wanted_tag
                cross join lateral ({walk.format(tag="wanted_tag")}) as walked
            ) as candidate {_NEWEST} limit :budget"""
        decided = True
    else:
        candidates = walk.format(tag=_RAREST_TAG)
    others = [condition for about, condition in of_spec.items() if not (decided and about == "tags")]
    joins = _joined("job_spec s", "t", others) + _joined("job j", "t", of_job.values())
    return Search("t", candidates, joins, parameters)


def _by_run_at(
    matching: JobFilter, window: str, of_job: dict[str, str], of_spec: dict[str, str], parameters: dict[str, object]
) -> Search:
    """Most jobs may run as soon as they are created, so their range is one of created_at; the others have an index."""
    bounds = _range("run_at", matching.run_at, {})
    at_once = bounds.replace(" run_at ", " created_at ")
    candidates = f"""
        select * from (
            select * from (
                select id, created_at, seq from dataqueue.job_spec
                where namespace_id = :namespace_id{at_once}{window} {_NEWEST} limit :budget) as at_once
            union
            select * from (
                select id, created_at, seq from dataqueue.job
                where namespace_id = :namespace_id and run_at <> created_at{bounds}{window} {_NEWEST} limit :budget
            ) as later
        ) as candidate {_NEWEST} limit :budget"""
    joins = _joined("job_spec s", "c", of_spec.values()) + _joined("job j", "c", of_job.values())
    return Search("c", candidates, joins, parameters)


def _names_tags(matching: JobFilter) -> bool:
    return bool(matching.tags) and matching.tag_mode is not TagMode.NONE


def _names_completed(matching: JobFilter) -> bool:
    return JobStatus.COMPLETED in matching.statuses


def _begins(bounds: Range) -> bool:
    """Whether a range leaves out what is long ago: only then is it narrow, as time goes by."""
    return bounds.gt is not None or bounds.gte is not None or bounds.eq is not None


def _type_ids(matching: JobFilter) -> list[str]:
    """The number of each type asked for, one by one: each is then a walk in the order of an index, to be merged."""
    return [
        f"""(select id from dataqueue.job_type
            where namespace_id = :namespace_id and name = (cast(:job_types as text[]))[{position}])"""
        for position in range(1, len(matching.job_types) + 1)
    ]


def _joined(table: str, alias: str, conditions: Iterable[str]) -> str:
    listed = list(conditions)
    short = table.split()[1]
    return f" join dataqueue.{table} on {short}.id = {alias}.id and {' and '.join(listed)}" if listed else ""


def _rest(join: str, conditions: list[str]) -> str:
    return f"{join} where {' and '.join(conditions)}" if conditions else join


def _range(column: str, bounds: Range, parameters: dict[str, object]) -> str:
    """` and column < :column_lt …`, adding what it takes."""
    text = ""
    for name, operator in _BOUNDS.items():
        instant: datetime | None = getattr(bounds, name)
        if instant is not None:
            text += f" and {column} {operator} :{column}_{name}"
            parameters[f"{column}_{name}"] = instant
    return text
