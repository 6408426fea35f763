"""The lines that `dataqueue dev` prints, and the addresses it serves."""

from __future__ import annotations

import json
import os
import shlex
from typing import get_args

import pytest

from dataqueue.settings import WorkerSettings
from dataqueue.storage.backend import Backend
from workers.banner import banner
from workers.cli_dev import BackendName
from workers.cli_errors import Refused
from workers.dev import _Everything, refuse_another_backend
from workers.serving import is_loopback, url_of


def test_every_job_type_has_a_line_to_paste_with_a_payload_that_works() -> None:
    text = banner(
        "http://127.0.0.1:8000", job_types=["mail", "other"], payloads={"mail": {"text": "it's"}}, data="/data"
    )
    assert "ready" in text.splitlines()[1]
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("  curl ") and "$(" not in line]
    bodies = [json.loads(line[line.index("-d") + 1]) for line in lines]
    assert bodies == [
        {"job_type": "mail", "payload": {"text": "it's"}},
        {"job_type": "other", "payload": {}},
    ]
    assert all("http://127.0.0.1:8000/v1/jobs" in line for line in lines)


@pytest.mark.parametrize(
    ("host", "is_ours_alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, is_ours_alone: bool) -> None:
    assert is_loopback(host) is is_ours_alone


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert (url_of("::1", 80), url_of("127.0.0.1", 80)) == ("http://[::1]:80", "http://127.0.0.1:80")


@pytest.mark.parametrize(
    ("wanted", "url", "found"),
    [
        (Backend.REDIS, "postgresql://me:secret@db/queue", "postgres"),
        (Backend.POSTGRES, "rediss://me:secret@db/0", "redis"),
        (Backend.POSTGRES, "redis+cluster://me:secret@db", "redis"),
        (Backend.POSTGRES, "unix://me:secret@/tmp/redis.sock?db=0", "redis"),
    ],
)
def test_a_backend_that_the_url_is_not_for_is_refused_without_its_password(
    wanted: Backend, url: str, found: str
) -> None:
    with pytest.raises(Refused) as refusal:
        refuse_another_backend(url, wanted=wanted)
    assert f"--backend {wanted}" in str(refusal.value)
    assert f"a {found} server" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("wanted", "url"),
    [
        (Backend.POSTGRES, "postgresql+asyncpg://db/queue"),
        (Backend.REDIS, "redis://db/0"),
        # Of no kind at all: whoever opens it says so.
        (Backend.REDIS, "mysql://db/queue"),
    ],
)
def test_a_url_of_the_backend_that_is_asked_for_is_used(wanted: Backend, url: str) -> None:
    refuse_another_backend(url, wanted=wanted)


def test_every_backend_there_is_can_be_chosen() -> None:
    assert set(get_args(BackendName)) == set(Backend)


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        (WorkerSettings(port=0), "http://127.0.0.1:4711"),
        (WorkerSettings(host="::1", port=0), "http://[::1]:4711"),
        (WorkerSettings(public_url="https://queue.example.com"), "https://queue.example.com"),
    ],
)
def test_workers_are_told_where_the_api_is(
    monkeypatch: pytest.MonkeyPatch, settings: WorkerSettings, base: str
) -> None:
    """Also when it has got a free port: the URLs that handlers hand out lead there."""
    monkeypatch.setattr(os, "environ", {})
    everything = _Everything(settings, port=4711, data="")
    assert everything._worker._env["DATAQUEUE_PUBLIC_URL"] == base
    # The API goes by what a caller reached it by.
    assert "DATAQUEUE_PUBLIC_URL" not in everything._api._env
