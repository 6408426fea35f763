"""Draws `docs/lifecycle.md` from the one table of the lifecycle; `--check` only says whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dataqueue.domain.job import JobStatus
from dataqueue.domain.lifecycle import TRANSITIONS, Transition, Verb

PAGE: Final = Path(__file__).with_name("lifecycle.md")

HEAD: Final = """\
# The lifecycle of a job

<!-- Drawn by docs/draw_lifecycle.py from dataqueue/domain/lifecycle.py: change that and run it again. -->

Every job is in one of six statuses. Each change of status is one of the moves below, made in one act with the
event that tells of it; anything else is refused with `409 illegal_transition` and changes nothing. The table
here is the one that the storage is tested against: every verb is tried from every status.
"""

NOTES: Final = """\
## Leases

A claim gives a worker a **lease**: the job's id and its *invocation*, the number of times the job has been
taken. The number only goes up, and every report names it, so a report on behalf of an earlier invocation
changes nothing (`lost`). The same report again is a `duplicate`, without effect. Heartbeats extend the lease
from the database's present instant. Its end alone loses nothing: until somebody reclaims the job, the holder
may still report. A reclaim takes the job and raises the invocation, and so does the heartbeat that tells a
worker that its job is cancelled; from then on whatever that worker reports is lost.

## Attempts

A claim counts an **attempt**. A failure uses it up: while `attempts` is below `max_attempts`, and the failure
is worth another try, the job is pending again and starts after its retry delay; otherwise it has failed, and
if it names a dead-letter type, a job of that type is stored in the same act (`job:dead_lettered`). A release
or a reclaim gives the attempt back. A retry by hand keeps the count and grants one more attempt if none is
left.

## Waits

A handler that waits gives its worker back: the job is `waiting` until the first of what it waits for is over, an
instant (`wait_until`) or a token (`wait_token_id`) that somebody completes or that expires. What has come already
is not waited for: the job is pending again in the same act. A wait is kept in the job's step log under its name,
with its end once that has come; a later invocation that names it again goes on with it, and its end does not move.

## Resumption

A job whose wait is over is pending again, and its next claim **resumes** it: that counts no attempt, and neither
does giving a resumed job back take one away. Nothing else is carried over. The handler runs from its beginning, and
what is in the step log is answered from there instead of being done again. A job is resumed once however many of
its waits end at a time, and only by what it waits for at present; of what else has ended it finds the outcome in
its log. Steps outlive failures, retries and the end of the job, and go when it is removed.

## Notes

While a handler works it may say how far it is, set the output before the end, or ask for more time. The job stays
processing, progress and output are kept with it, and each note is an event of its own. A job that is completed
without an output keeps the one that was noted.

## Crashes

A lease that ends without a word is a **crash**, counted apart from attempts. A job is given to a worker again
after up to `max_crashes` of them (3 unless the workers are told otherwise); the next one fails it with the
reason `crashed`. A retry by hand forgives them.

## Cancelling what is running

A cancel of a processing job is a request. The worker hears of it at its next heartbeat, which cancels the job
in the same act. If the work is done before that, the job is completed; if it fails, is released or loses its
lease, it is cancelled.

## Editing

A job that is pending can be given new values: of its payload and tags, of when it may start, of how often it is
tried. They are all in one event (`job:edited`, `changes`). A job that waits for its next attempt goes on waiting
for it, until the new `run_at`. A worker that claims it gets the values of every edit that was accepted.

## Deleting

What has ended can be deleted: the job is gone, with its output, its history and its idempotency key, which is free
again. What happened to it stays in the event stream.

## Many at once

A bulk change cancels, retries, edits or deletes every job that fits a filter and whose status permits it, newest
first, in batches of a thousand, each an act of its own. Whether a job fits is decided again when its row is locked:
one that a worker took meanwhile is not cancelled by a filter that says `pending`. Jobs enqueued after it began are
left alone.
"""


def draw() -> str:
    """The whole page."""
    return "\n".join([HEAD, "```mermaid", *_diagram(), "```", "", *_table(), "", NOTES])


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    for source, verb, move in _moves():
        yield f"    {source or '[*]'} --> {move.to or '[*]'}: {verb}"


def _table() -> Iterator[str]:
    yield "| from | by | to | when | event |"
    yield "|---|---|---|---|---|"
    for source, verb, move in _moves():
        cells = [_code(source), verb, _code(move.to), move.when, _code(move.event)]
        yield f"| {' | '.join(cells)} |"


def _code(name: str | None) -> str:
    return f"`{name}`" if name else "-"


def _moves() -> Iterator[tuple[JobStatus | None, Verb, Transition]]:
    """Each move once for each status it starts from, in the order of the table."""
    for verb, moves in TRANSITIONS.items():
        for move in moves:
            if not move.sources:
                yield None, verb, move
            for status in JobStatus:
                if status in move.sources:
                    yield status, verb, move


def main(arguments: Sequence[str]) -> int:
    page = draw()
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print("docs/lifecycle.md is stale: run `.venv/bin/python docs/draw_lifecycle.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
