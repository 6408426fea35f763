"""How much a job may say (contract 0 and 1.1, details B14): one set of bounds for the wire and for Python."""

from __future__ import annotations

from typing import Final

MOST_TAGS: Final = 50
LONGEST_TAG: Final = 200
LONGEST_KEY: Final = 255
LOWEST_PRIORITY: Final = -32768
HIGHEST_PRIORITY: Final = 32767
MOST_ATTEMPTS: Final = 1000
LONGEST_TIMEOUT_MS: Final = 100 * 365 * 86_400_000
LARGEST_BATCH: Final = 1000
"""Jobs that are stored together or not at all."""
DEEPEST_JSON: Final = 64
