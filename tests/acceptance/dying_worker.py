"""Workers that die by SIGKILL at a chosen storage call: `python -m tests.acceptance.dying_worker URL FOLDER`.

A line on stdin, `<job type> <point>`, starts one; its exit status is answered by a line. Calls on behalf of a job are
counted from 1; point 2n-1 lies before the n-th call, point 2n after it. Each is forked, so that what is imported once
serves them all.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from dataqueue import HandlerRegistry, JobContext
from dataqueue.domain.job import JobStatus
from dataqueue.processing.worker import Worker
from dataqueue.settings import WorkerSettings
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from workers.logs import configure_logging

COUNTED: Final = frozenset({"claim", "complete", "fail", "suspend", "note", "of_jobs", "save", "get"})


def onboarding(folder: Path, job_type: str) -> HandlerRegistry:
    """A step, a wait, a token, a step, and something said in between. What is done outside is a line in a file."""
    registry = HandlerRegistry()

    def do(what: str) -> str:
        with (folder / job_type).open("a") as file:
            file.write(f"{what}\n")
        return what

    async def onboard(ctx: JobContext) -> dict[str, Any]:
        account = await ctx.run("open account", do, "account")
        await ctx.set_progress(25)
        await ctx.wait_for(seconds=0.05)
        token = await ctx.create_token(timeout="1h")
        answer = await ctx.wait_for_token(token)
        sent = await ctx.run("send welcome", do, "welcome")
        return {"account": account, "approved": answer.output, "sent": sent}

    registry.add(job_type, onboard, local_names={})
    return registry


class _Dying:
    """Counts calls of the stores of a storage, and dies at one of them."""

    def __init__(self, storage: Storage, point: int) -> None:
        self._storage, self._point, self.calls = storage, point, 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._storage, name)
        if name not in {"jobs", "steps", "tokens"}:
            return attribute
        return lambda namespace: _DyingStore(attribute(namespace), self)

    def die_at(self, point: int) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


class _DyingStore:
    def __init__(self, store: Any, dying: _Dying) -> None:
        self._store, self._dying = store, dying

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._store, verb)
        if verb not in COUNTED:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            if verb == "claim":
                # One that finds nothing is on behalf of no job.
                if answer := await method(*args, **kwargs):
                    self._dying.calls += 1
                    self._dying.die_at(2 * self._dying.calls - 1)
                    self._dying.die_at(2 * self._dying.calls)
                return answer
            self._dying.calls += 1
            n = self._dying.calls
            self._dying.die_at(2 * n - 1)
            answer = await method(*args, **kwargs)
            self._dying.die_at(2 * n)
            return answer

        return call


async def work(url: str, folder: Path, job_type: str, point: int) -> None:
    """Until killed, or until the one job of the type has ended."""
    storage = open_storage(url, pool_size=4)
    worker = Worker(
        WorkerSettings(concurrency=1, poll_seconds=0.05),
        _Dying(storage, point),
        onboarding(folder, job_type),
        worker_id=job_type,
        open_storage=lambda: open_storage(url, pool_size=2),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    while not stop.is_set():
        await storage.upkeep.stage(limit=10)
        found = await storage.tally("default").stats()
        ended = found.by_type.get(job_type, {}).get(JobStatus.COMPLETED, 0)
        if ended:
            stop.set()
        await asyncio.sleep(0.02)
    await running
    await storage.close()


def main() -> None:
    url, folder = sys.argv[1:]
    configure_logging()
    for line in sys.stdin:
        job_type, point = line.split()
        if (pid := os.fork()) == 0:
            asyncio.run(work(url, Path(folder), job_type, int(point)))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
