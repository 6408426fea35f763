"""Events that a test makes happen, and pages of them."""

from __future__ import annotations

from typing import Any

from dataqueue.storage.port import Storage
from tests.storage.given import NAMESPACE, new_job

START = ("after", "start")


async def happening(storage: Storage, *job_types: str) -> None:
    await storage.jobs(NAMESPACE).enqueue([[new_job(job_type=job_type) for job_type in job_types]])


def types(found: dict[str, Any]) -> list[str]:
    return [event["job_type"] for event in found["data"]]
