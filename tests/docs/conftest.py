"""Modules that the pages import and that need not be installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def given_module(monkeypatch: pytest.MonkeyPatch, storage_url: str) -> Callable[..., None]:
    monkeypatch.setenv("DATAQUEUE_URL", storage_url)

    def give(name: str, **contents: Any) -> None:
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)

    return give
