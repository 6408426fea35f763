"""A worker wakes for what concerns it."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from dataqueue.processing.hints import HintListener
from dataqueue.storage.port import LISTENING, Hint


@pytest.mark.parametrize(
    ("hint", "heard"),
    [
        (Hint("ready", "default", ("mail", "other")), "ready"),
        (Hint("ready", "default"), "ready"),
        (Hint("ready", "default", ("other",)), ""),
        (Hint("ready", "elsewhere", ("mail",)), ""),
        (Hint("cancel", "default"), "cancel"),
        (Hint("cancel", "elsewhere"), ""),
        (Hint("admit", "default"), "admit"),
        (Hint("admit", "elsewhere"), ""),
        (Hint("ended", "default", ("mail",)), ""),
        (Hint("drain", "default", ("ann", "bob")), "orders"),
        (Hint("drain", "default"), "orders"),
        (Hint("drain", "default", ("bob",)), ""),
        (Hint("drain", "elsewhere", ("ann",)), ""),
        (LISTENING, "ready cancel admit orders"),
    ],
)
def test_only_hints_that_concern_the_worker_are_passed_on(hint: Hint, heard: str) -> None:
    told = Mock()
    listener = HintListener(
        notifier=Mock(),
        namespace="default",
        job_types=["mail"],
        ready=told.ready,
        cancel=told.cancel,
        admit=told.admit,
        worker_id="ann",
        orders=told.orders,
    )
    listener.hear(hint)
    assert [call[0] for call in told.mock_calls] == heard.split()
