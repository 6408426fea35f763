"""What the API is compared with, served as it is: `python -m benchmarks.references plain | one_insert PORT`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import uvicorn
from fastapi import FastAPI

import app.service
from app.main import create_app
from app.schemas.enqueue import EnqueuedOut, EnqueueRequest
from dataqueue.domain.job import Enqueued, JobStatus
from dataqueue.enqueuing import Enqueuer, Unit
from dataqueue.ids import new_id


def plain() -> FastAPI:
    """A FastAPI route of the same model that stores nothing."""
    api = FastAPI()

    @api.post("/v1/jobs", status_code=201)
    async def enqueue(job: EnqueueRequest) -> EnqueuedOut:
        return EnqueuedOut(id=new_id(), status=JobStatus.PENDING, created=True)

    return api


class OneByOne(Enqueuer):
    """Enqueues each request with a statement of its own."""

    async def add(self, unit: Unit) -> list[Enqueued]:
        [answers] = await self._jobs.enqueue([unit])
        self._announce({job.job_type for job in unit})
        return answers


def one_insert() -> FastAPI:
    """The API itself, without sharing writes among requests."""
    # The name that the service takes it by.
    setattr(app.service, "Enqueuer", OneByOne)  # noqa: B010 - mypy refuses the assignment
    return create_app()


KINDS: Final[dict[str, Callable[[], FastAPI]]] = {"plain": plain, "one_insert": one_insert}


def main() -> None:
    kind, port = sys.argv[1:]
    # As `workers.serving` does.
    uvicorn.run(
        KINDS[kind](),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
