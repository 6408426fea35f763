"""The client of a DataQueue service over HTTP.

    with Client("http://127.0.0.1:8000") as queue:
        job = queue.enqueue("send_email", {"to": "ada@example.com"}, tags=["customer:42"])
        ended = queue.get_job(job["id"], wait="30s")

`answers` has the shapes of what comes back, `fields` of what may be given.
"""

from __future__ import annotations

from dataqueue.client.aio import AsyncClient
from dataqueue.client.blocking import Client
from dataqueue.client.problems import Problem, ProblemError, ServiceUnreachable
from dataqueue.client.tries import Patience

__all__ = ["AsyncClient", "Client", "Patience", "Problem", "ProblemError", "ServiceUnreachable"]
