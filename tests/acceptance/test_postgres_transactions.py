"""A job enqueued in the transaction of somebody's own business: run when that commits, never when it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from tests.acceptance.notes import Notes
from tests.acceptance.services import Worker, look
from tests.storage.callers import conninfo_url

SOON: Final = 1.0
ROUNDS: Final = 8


@pytest.fixture(scope="module", autouse=True)
def worker(database: str, notes: Notes) -> Iterator[Worker]:
    look(database, "create table bill (id int primary key, paid boolean not null default false)")
    with Worker(database, notes) as running:
        running.until_ready()
        yield running


@pytest.fixture
def business(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo_url(database)) as connection:
        yield connection


def billed(business: psycopg.Connection[Any], bill: int, **options: str) -> str:
    """A bill and the job to send it, not committed yet; the job's id."""
    business.execute("insert into bill values (%s)", (bill,))
    named = "".join(f", {name} => %s" for name in options)
    call = f"select cast(id as text) from dataqueue_enqueue('fine', json_build_object('bill', %s::int){named})"
    row = business.execute(call.encode(), (bill, *options.values())).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("admitted", ["of a known type", "to be admitted"])
def test_the_worker_runs_it_within_a_second_of_the_commit(
    admitted: str, business: psycopg.Connection[Any], database: str, notes: Notes
) -> None:
    for number in range(ROUNDS):
        bill = number + (0 if admitted == "to be admitted" else ROUNDS)
        options = {"dead_letter_job_type": f"unheard-of-{bill}"} if admitted == "to be admitted" else {}
        job_id = billed(business, bill, **options)
        began = time.monotonic()
        business.commit()
        started = notes.until(job_id, "started").at
        assert began < started < began + SOON
        assert look(database, "select paid from bill where id = $1", bill)


def test_a_rollback_takes_the_bill_and_the_job(business: psycopg.Connection[Any], database: str, notes: Notes) -> None:
    job_id = billed(business, 1000)
    business.rollback()
    later = billed(business, 1001)
    business.commit()
    notes.until(later, "started")
    assert notes.of(job_id, "started") == []
    assert look(database, "select id from dataqueue.job_spec where id = $1::text::uuid", job_id) == []
    assert look(database, "select id from bill where id >= 1000") == [(1001,)]


def test_a_transaction_that_stays_open_keeps_no_other_job_from_running(
    business: psycopg.Connection[Any], database: str, notes: Notes
) -> None:
    held = billed(business, 2000, dead_letter_job_type="unheard-of", idempotency_key="held")
    with psycopg.connect(conninfo_url(database), autocommit=True) as other:
        began = time.monotonic()
        free = billed(other, 2001, dead_letter_job_type="unheard-of")
        assert notes.until(free, "started").at < began + SOON
    assert notes.of(held, "started") == []
    business.commit()
    notes.until(held, "started")
