"""`python -m benchmarks [section …] [--quick]`: figures, each beside a reference measured in the same run."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Final

from benchmarks.figures import Figure, table
from benchmarks.ground import Ground
from benchmarks.processes import say
from benchmarks.standing import standing
from dataqueue.storage.backend import Backend

SECTIONS: Final = {
    Backend.POSTGRES: (
        *("http", "batch", "imports", "drain", "latency", "events", "idle", "buffers", "snapshot", "overhead"),
        *("bulk", "lists", "waits"),
    ),
    Backend.REDIS: ("http", "batch", "drain", "latency", "idle", "waits", "redis_cost"),
}


async def _run(ground: Ground, sections: list[str], *, quick: bool) -> None:
    for section in sections:
        say(f"{section} …")
        measure: Callable[..., Awaitable[list[Figure]]] = import_module(f"benchmarks.sections.{section}").measure
        try:
            figures = await measure(ground, quick=quick)
        except Exception:  # noqa: BLE001 - the other sections have something to say, too
            print(f"\n### {section}\n\nfailed:\n{traceback.format_exc()}", flush=True)
        else:
            print(f"\n### {section}\n\n{table(figures)}\n", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = "; ".join(f"{backend}: {', '.join(sections)}" for backend, sections in SECTIONS.items())
    parser.add_argument("sections", nargs="*", metavar="section", help=f"{known}; all if none is named")
    parser.add_argument("--backend", type=Backend, choices=list(Backend), default=Backend.POSTGRES)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller numbers")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS[options.backend]):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    """Figures are no tests: 0 whatever they are; 130 when interrupted."""
    options = _parse()
    # SIGTERM as Ctrl-C: both leave through the same doors.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with standing(options.backend) as ground:
            say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
            asyncio.run(_run(ground, options.sections or list(SECTIONS[options.backend]), quick=options.quick))
            say(f"load {os.getloadavg()[0]:.1f}")
    except KeyboardInterrupt:
        say("interrupted; everything is stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
