"""Each worker process serves its own metrics; one that replaces another takes its port."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.acceptance.notes import Notes
from tests.acceptance.processes import Process, until
from tests.acceptance.services import Api, Worker
from tests.api.scraping import Scrape

LOOPBACK: Final = "127.0.0.1"


def ports_in_a_row(count: int) -> int:
    """The first of so many that are free."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            first = int(probe.getsockname()[1])
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind((LOOPBACK, port))
        except OSError:
            continue
        return first


def scraped(port: int) -> Scrape | None:
    """What a process tells; None while it does not."""
    try:
        answer = httpx.get(f"http://{LOOPBACK}:{port}/metrics")
    except httpx.TransportError:
        return None
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Scrape(answer.raise_for_status().text)


def began(port: int) -> float:
    """When the process behind a port was started."""
    seen = scraped(port)
    assert seen is not None
    return seen.value("process_start_time_seconds") or 0.0


@contextmanager
def a_worker(database: str, notes: Notes, name: str, **settings: object) -> Iterator[Worker]:
    with Worker(database, notes, name=name, metrics_host=LOOPBACK, **settings) as worker:
        yield worker


def test_each_process_serves_what_it_did_and_its_successor_takes_its_port(
    api: Api, database: str, notes: Notes
) -> None:
    first = ports_in_a_row(2)
    with a_worker(database, notes, "counted", metrics_port=first, processes=2) as worker:
        worker.until_ready(lives=2)
        seen = [until(lambda port=port: scraped(port), "metrics") for port in (first, first + 1)]  # type: ignore[misc]
        assert [one.value("worker_slots") for one in seen] == [50, 50]
        for job_id in api.enqueue_all([{"job_type": "fine"}] * 20):
            api.ended(job_id)

        def total() -> float:
            both = [scraped(port) for port in (first, first + 1)]
            return sum(one.value("worker_jobs_completed_total", job_type="fine") or 0 for one in both if one)

        until(lambda: total() == 20, "all twenty are counted")
        one = scraped(first)
        assert one is not None
        assert one.value("event_loop_lag_seconds_count") is not None
        assert one.value("pool_connections_most") == 6
        assert one.value("worker_claim_errors_total") == 0
        assert one.value("worker_outcomes_waiting") == 0

        starts = began(first), began(first + 1)
        before = {process.pid for process in worker.family() if "workers.process" in process.cmdline()}
        os.kill(min(before), signal.SIGKILL)
        worker.until_ready(lives=3)
        until(lambda: scraped(first) and scraped(first + 1), "both ports are served again")
        now = began(first), began(first + 1)
        assert [then == since for then, since in zip(starts, now, strict=True)].count(False) == 1
        assert worker.stop() == 0


def test_a_crash_is_counted_by_whoever_reclaims_and_by_the_process_of_its_second_run(
    api: Api, database: str, notes: Notes
) -> None:
    port = ports_in_a_row(1)
    with a_worker(database, notes, "crashing", metrics_port=port, max_crashes=1) as worker:
        worker.until_ready()
        api.ended(api.enqueue("exits"), status="failed")
        seen = until(lambda: scraped(port), "metrics")
        assert (seen.value("jobs_reclaimed_total") or 0) >= 1
        until(
            lambda: (
                (now := scraped(port)) is not None and now.value("worker_jobs_crashed_total", job_type="exits") == 1
            ),
            "its end in a process of its own is counted",
        )


def test_a_process_whose_loop_is_blocked_still_answers_and_says_so(api: Api, database: str, notes: Notes) -> None:
    port = ports_in_a_row(1)
    with a_worker(database, notes, "blocked", metrics_port=port) as worker:
        worker.until_ready()
        job_id = api.enqueue("blocks", {"seconds": 3})
        notes.until(job_id, "started")
        until(
            lambda: (now := scraped(port)) is not None and (now.value("event_loop_overdue_seconds") or 0) > 0.5,
            "a loop that is overdue",
            within=3,
        )
        api.ended(job_id)
        seen = scraped(port)
        assert seen is not None
        assert (seen.value("event_loop_lag_seconds_sum") or 0) > 0.5


def test_there_is_nothing_else_at_the_port(api: Api, database: str, notes: Notes) -> None:
    with a_worker(database, notes, "quiet", metrics_port=0) as worker:
        worker.until_ready()
        served = worker.until_logged("metrics.served")
        url = f"http://{LOOPBACK}:{served['port']}"
        assert httpx.get(f"{url}/").status_code == 404
        assert httpx.post(f"{url}/metrics").status_code == 501
        assert httpx.get(f"{url}/metrics?name=x").status_code == 200


def test_without_a_port_nothing_is_served(database: str, notes: Notes) -> None:
    with Worker(database, notes, name="unserved") as worker:
        worker.until_ready()
        assert worker.logged("metrics.served") == []


@pytest.mark.parametrize("offset", [0, 1])
def test_a_port_that_is_taken_is_refused_in_a_sentence_before_anything_starts(
    database: str, notes: Notes, place: Path, offset: int
) -> None:
    first = ports_in_a_row(2)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, first + offset))
        taken.listen()
        with Process(
            *("worker", "--import", "tests.acceptance.handlers", "--metrics-port", str(first), "--processes", "2"),
            log=place / "refused.log",
            settings={"url": database},
        ) as refused:
            assert refused.exit_code() == 2
            assert refused.said.startswith(f"dataqueue: port {first + offset} on {LOOPBACK}, for metrics, is taken;")
            assert refused.said.count("\n") == 1
