"""A client that may call the receivers of a test, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from dataqueue.egress import Answer, GuardedClient, Policy

# It stands for the public ones: whatever else is on this machine is as forbidden as elsewhere.
ALLOWED = (ip_network("127.0.0.1/32"),)


def policy(port: int, **changes: Any) -> Policy:
    return Policy(**{"allow_http": True, "allowed_networks": ALLOWED, "extra_ports": frozenset({port}), **changes})


class Names:
    """Resolves every name to what it is told, and each time to the next of it; counts how often it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def call(client: GuardedClient, url: str, **changes: Any) -> Answer:
    usual: dict[str, Any] = {"namespace": "default", "within": 20.0, "max_body": 64 * 1024, "body": b"{}"}
    return await client.call(url, **{**usual, **changes})
