"""What a list of jobs is narrowed by."""

from __future__ import annotations

from dataclasses import dataclass

from dataqueue.domain.job import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Empty tuples do not narrow; several values of one field are alternatives."""

    statuses: tuple[JobStatus, ...] = ()
    job_types: tuple[str, ...] = ()
