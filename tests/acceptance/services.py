"""`dataqueue serve` and `dataqueue worker` on a database, as a test starts and asks them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx

from tests.acceptance.notes import VARIABLE, Notes
from tests.acceptance.processes import Process, until
from tests.storage.raw import connected

HANDLERS: Final = "tests.acceptance.handlers"
LEASE: Final = 3.0
"""The shortest there is, seconds."""


class Worker(Process):
    """A supervisor and one process that runs the jobs of `tests.acceptance.handlers`."""

    def __init__(self, url: str, notes: Notes, *, name: str = "worker", **settings: object) -> None:
        super().__init__(
            *("worker", "--import", HANDLERS),
            log=notes.file.with_name(f"{name}.log"),
            settings={"url": url, "lease_seconds": LEASE, **settings},
            **{VARIABLE: str(notes.file)},
        )

    def until_ready(self, *, lives: int = 1) -> None:
        self.until_logged("worker.started", count=lives)

    def until_told(self, job_id: str) -> str:
        """Wait until it has something to say about a job: what it says first."""
        return str(until(lambda: self.logged(job_id=job_id), f"a word about job {job_id}")[0]["event"])

    @property
    def child(self) -> int:
        """The process that runs jobs."""

        def found() -> int | None:
            return next((one.pid for one in self.family() if "workers.process" in one.cmdline()), None)

        return until(found, "a process that runs jobs")


class Api(Process):
    """An API on a port of its own, open to whoever is on this machine."""

    def __init__(self, url: str, *, log: Path, **settings: object) -> None:
        super().__init__("serve", log=log, settings={"url": url, "port": 0, "open_access": True, **settings})

    def end(self) -> None:
        if "http" in self.__dict__:
            self.http.close()
        super().end()

    @cached_property
    def url(self) -> str:
        return str(self.until_logged("api.listening")["url"])

    @cached_property
    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)

    def until_ready(self) -> None:
        until(lambda: self.http.get("/readyz").status_code == 200, "a ready API")

    def enqueue(self, job_type: str, payload: Any = None, **fields: Any) -> str:
        """A job of this type; its id."""
        return self.enqueue_all([{"job_type": job_type, "payload": payload, **fields}])[0]

    def enqueue_all(self, jobs: list[dict[str, Any]]) -> list[str]:
        """All jobs, in one request; their ids."""
        answer = self.http.post("/v1/jobs/batch", json={"jobs": jobs})
        assert answer.status_code == 201, answer.text
        return [job["id"] for job in answer.json()["jobs"]]

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json())

    def ended(self, job_id: str, *, status: str = "completed", within: float = 60) -> dict[str, Any]:
        """Wait for the end of a job; the job, which ended as said."""
        job = until(lambda: self._if_ended(job_id), f"the end of job {job_id}", within=within)
        assert job["status"] == status, job
        return job

    def events(self, job_id: str) -> list[str]:
        """The names of what happened to a job, `job:` left out."""
        return [name for name, _ in self.history(job_id)]

    def history(self, job_id: str) -> list[tuple[str, datetime]]:
        """What happened to a job, and when."""
        page = self.http.get(f"/v1/jobs/{job_id}/events").raise_for_status().json()
        return [(one["event"].removeprefix("job:"), datetime.fromisoformat(one["at"])) for one in page["data"]]

    def _if_ended(self, job_id: str) -> dict[str, Any] | None:
        answer = self.http.get(f"/v1/jobs/{job_id}", params={"wait": "5s"})
        # A database that has just come back may not be there for everybody yet.
        job = dict(answer.json()) if answer.status_code == 200 else {}
        return job if job.get("status") in {"completed", "failed", "cancelled"} else None


def look(url: str, sql: str, *arguments: object) -> list[Any]:
    """The rows that the database itself answers."""

    async def fetch() -> list[Any]:
        async with connected(url) as connection:
            return list(await connection.fetch(sql, *arguments))

    return asyncio.run(fetch())
