"""Handlers to read and to copy: `dataqueue worker --import examples.handlers`, or `dataqueue dev`, which is all in one.

A handler is a function that does one type of job. It runs **at least once**: when its worker dies in the middle it
runs again, so each of these would do no harm the second time.
"""

from __future__ import annotations

# Importing a module registers the handlers in it.
from examples import emails, flaky, onboarding, primes, thumbnails

__all__ = ["emails", "flaky", "onboarding", "primes", "thumbnails"]
