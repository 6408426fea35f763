"""What a job leaves running in its process: whether another may follow it there."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from workers.isolation.process_tree import has_children

HANDLER_THREAD: Final = "handler"
"""First part of the name of a thread of ours."""
_LOOKS: Final = 20
_PAUSE: Final = 0.005


class LeftBehind:
    """Compares what runs after a job with what ran before it; a start-up hook's own threads and tasks are no job's.

    Looked for: child processes (orphans of theirs included, see `adopt_orphans`), threads made by Python, tasks. Not
    seen: threads of C libraries, timers of the loop, what a job has changed in memory.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = set(threading.enumerate())
        self._tasks = asyncio.all_tasks()
        # One of the job's own, whose idle threads end with it: those left are at work.
        self._executor = self._new_executor()

    async def look(self) -> tuple[str, ...]:
        """In words; what ends within a moment does not count."""
        self._executor.shutdown(wait=False)
        self._new_executor()
        for _ in range(_LOOKS):
            if not self._found():
                return ()
            await asyncio.sleep(_PAUSE)
        return self._found()

    def _found(self) -> tuple[str, ...]:
        threads = [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if thread not in self._threads and not thread.name.startswith(HANDLER_THREAD)
        ]
        tasks = [f"task {task.get_name()}" for task in asyncio.all_tasks() - self._tasks if not task.done()]
        return (*threads, *tasks, *(["process"] if has_children() else []))

    def _new_executor(self) -> ThreadPoolExecutor:
        executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
        self._loop.set_default_executor(executor)
        return executor
