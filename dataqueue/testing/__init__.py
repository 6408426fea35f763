"""Run a handler in a test: no database, no worker, and a clock that stands still until it is moved."""

from __future__ import annotations

from dataqueue.clock import ManualClock
from dataqueue.testing.memory import OpenWait, TokenSeen
from dataqueue.testing.preparing import prepare_handler, run_handler
from dataqueue.testing.running import DurableRun

__all__ = ["DurableRun", "ManualClock", "OpenWait", "TokenSeen", "prepare_handler", "run_handler"]
