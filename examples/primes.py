"""A CPU-bound `def` handler with a dataclass as payload, which stops early when its job is cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dataqueue import JobContext, Reject, handler

_AT_MOST: Final = 20_000_000


@dataclass
class Range:
    below: int = 200_000


@handler("count_primes")
def count_primes(numbers: Range, ctx: JobContext) -> dict[str, int]:
    """Count the primes below a number, by the sieve of Eratosthenes.

    It runs in a thread: other jobs go on beside it. Threads of one process share one core for Python code, so a
    service of such jobs wants `--processes`.
    """
    if not 0 <= numbers.below <= _AT_MOST:
        raise Reject(f"below must lie between 0 and {_AT_MOST}")
    sieve = bytearray([1]) * numbers.below
    sieve[:2] = bytes(min(2, numbers.below))
    for number in range(2, int(numbers.below**0.5) + 1):
        if ctx.cancelled:
            break  # nobody will read the answer
        if sieve[number]:
            multiples = slice(number * number, None, number)
            sieve[multiples] = bytes(len(range(number * number, numbers.below, number)))
    return {"below": numbers.below, "primes": sum(sieve)}
