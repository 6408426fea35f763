"""What `dataqueue dev` prints when it is ready: where things are, and lines to paste."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

_JSON: Final = "-H 'content-type: application/json'"
_ID: Final = r"""sed -E 's/.*"id": ?"([^"]+)".*/\1/'"""


def banner(url: str, *, job_types: Sequence[str], payloads: Mapping[str, Any], data: str) -> str:
    """`payloads`: one that works, for the job types that have an example."""
    watched = job_types[0] if job_types else "my_job"
    lines = [
        "",
        f"DataQueue is ready at {url}",
        "",
        f"  docs      {url}/docs",
        f"  handlers  {', '.join(job_types)}",
        f"  data      {data}",
        "",
        "Paste a line into another terminal to enqueue a job:",
        "",
        *(f"  {_post(url, job_type, payloads)}" for job_type in job_types),
        "",
        "This one enqueues a job and watches it being done:",
        "",
        f'  curl -sS "{url}/v1/jobs/$({_post(url, watched, payloads)} | {_ID})?wait=10s"',
        "",
        "Ctrl-C stops everything and loses nothing.",
        "",
    ]
    return "\n".join(lines)


def _post(url: str, job_type: str, payloads: Mapping[str, Any]) -> str:
    body = json.dumps({"job_type": job_type, "payload": payloads.get(job_type, {})})
    return f"curl -sS {url}/v1/jobs {_JSON} -d {shlex.quote(body)}"
