"""Every test of a client is one of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dataqueue.client import AsyncClient, Client
from tests.client.stub import Answer, Service, Speaker

Speak = Callable[..., Speaker]


@pytest.fixture(params=[Client, AsyncClient], ids=["blocking", "async"])
async def speak(request: pytest.FixtureRequest) -> AsyncIterator[Speak]:
    """Makes a client of a service that gives these answers."""
    made: list[Speaker] = []

    def make(*answers: Answer, **options: Any) -> Speaker:
        made.append(Speaker(request.param, Service(*answers), **options))
        return made[-1]

    yield make
    for speaker in made:
        await speaker.close()
