"""Whoever writes handlers does not pay for the client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = """
import sys
import dataqueue
assert "httpx" not in sys.modules
assert dataqueue.Client is __import__("dataqueue.client").client.Client
assert "httpx" in sys.modules
assert not hasattr(dataqueue, "client_that_is_not_there")
"""


def test_the_client_is_imported_when_it_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
