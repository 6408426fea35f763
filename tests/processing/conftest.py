"""What the tests of the worker have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dataqueue.handlers import HandlerRegistry
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage


@pytest.fixture
def registry() -> HandlerRegistry:
    """Handlers of the test's own."""
    return HandlerRegistry()


@pytest.fixture
def open_another(storage_url: str) -> Callable[[], Storage]:
    """Opens the storage of the heartbeat's thread."""
    return lambda: open_storage(storage_url, pool_size=2)
