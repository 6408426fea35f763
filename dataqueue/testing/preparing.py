"""From a function and a payload to a job that can be run by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack
from uuid import UUID

from dataqueue import job_fields as fields
from dataqueue.clock import ManualClock
from dataqueue.domain.names import is_name
from dataqueue.errors import Invalid, NotFound
from dataqueue.handlers import Handler, HandlerRegistry, registry
from dataqueue.job_fields import Duration
from dataqueue.job_spec import JobSpec
from dataqueue.testing.running import DurableRun

_LARGEST_PAYLOAD: Final = 256 << 10


class Options(TypedDict, total=False):
    """As `add_job` takes them; `max_attempts` is 3. `tokens`: ids of tokens that are there already, made by nobody's
    handler. `clock`: one of the test's own, which starts in 2030 otherwise."""

    tags: Sequence[str]
    priority: int
    max_attempts: int
    timeout_ms: int
    force_kill_on_timeout: bool
    retry_delay: Duration
    retry_backoff: bool
    retry_delay_max: Duration
    tokens: Sequence[UUID | str]
    clock: ManualClock


def run_handler(
    handler: Callable[..., Any] | str, payload: Any = None, **options: Unpack[Options]
) -> Coroutine[Any, Any, DurableRun]:
    """Call a handler as a worker calls it for a new job, until it waits or ends.

    `handler`: a function, registered by `@handler` or not, or the job type of one that is. `payload`: what can be JSON,
    `{}` if not given; it is read as the handler's annotation says. Invalid: no handler, or an option out of its range.
    """
    return _started(_prepared(handler, payload, options, sys._getframe(1).f_locals))


def prepare_handler(handler: Callable[..., Any] | str, payload: Any = None, **options: Unpack[Options]) -> DurableRun:
    """As `run_handler`, and the handler is not called before `start()` or `begin()`."""
    return _prepared(handler, payload, options, sys._getframe(1).f_locals)


async def _started(run: DurableRun) -> DurableRun:
    await run.start()
    return run


def _prepared(
    handler: Callable[..., Any] | str, payload: Any, options: Options, local_names: Mapping[str, Any]
) -> DurableRun:
    described = _described(handler, local_names)
    rest = dict(options)
    tokens = [fields.uuid(token, ("tokens",)) for token in options.get("tokens", ())]
    clock = options.get("clock") or ManualClock()
    kills = fields.flag(options.get("force_kill_on_timeout", False), ("force_kill_on_timeout",))
    for ours in ("tokens", "clock", "force_kill_on_timeout"):
        rest.pop(ours, None)
    spec = JobSpec(described.job_type, {} if payload is None else payload, **rest)  # type: ignore[arg-type]  # of Options
    new = spec.to_job(max_payload_bytes=_LARGEST_PAYLOAD)
    if kills and new.timeout_ms is None:
        raise Invalid("force_kill_on_timeout needs timeout_ms", loc=("force_kill_on_timeout",))
    return DurableRun(described, replace(new, force_kill_on_timeout=kills), clock=clock, tokens=tokens)


def _described(handler: Callable[..., Any] | str, local_names: Mapping[str, Any]) -> Handler:
    for job_type in registry.job_types:
        if job_type == handler or registry[job_type].function == handler:
            return registry[job_type]
    if isinstance(handler, str):
        raise NotFound(f"no handler of {handler!r} is registered; is its module imported?")
    name = getattr(handler, "__name__", "")
    job_type = name if is_name(name) else "handler"
    alone = HandlerRegistry()
    alone.add(job_type, handler, local_names=local_names)
    return alone[job_type]
