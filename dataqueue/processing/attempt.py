"""One attempt at a job: the handler is called, and whatever it does becomes an outcome."""

from __future__ import annotations

import asyncio
from collections import deque
from traceback import walk_tb
from typing import Final

import structlog

from dataqueue.context import JobContext
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Failure, FailureReason
from dataqueue.errors import LeaseLost, NonDeterministicHandler
from dataqueue.handlers import Handler, Reject, Retry
from dataqueue.invocation import Invocation, Suspension
from dataqueue.log_context import job_at_work
from dataqueue.outcome import Completed, Failed, Gone, Suspended
from dataqueue.payloads import InvalidOutput, InvalidPayload, clean, encode_output
from dataqueue.work import Work

log = structlog.get_logger(__name__)

_MOST_FRAMES: Final = 5
_NO_OUTPUT: Final = Completed(None)


Ended = Completed | Failed | Suspended | Gone


async def attempt(handler: Handler, job: ClaimedJob, work: Work) -> Ended:
    """Call an async handler. Raises nothing, not even CancelledError: the caller knows whether it had cancelled."""
    job_at_work.set(job)
    try:
        if not handler.takes_context:
            return completed(await handler.call(job, None))
        return await _attempt_with_context(handler, job, work)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - a handler may raise what it likes, sys.exit() included
        return _told(error, job, work)
    finally:
        job_at_work.set(None)


def attempt_sync(handler: Handler, job: ClaimedJob, work: Work) -> Ended:
    """Call a plain function; to be run in a thread. Raises nothing."""
    job_at_work.set(job)
    try:
        if not handler.takes_context:
            return completed(handler.call(job, None))
        invocation = Invocation(job, work)
        value = handler.call(job, JobContext(job, work, invocation, is_async=False))
        return _completed_with(invocation, value)
    except BaseException as error:  # noqa: BLE001 - as above
        return _told(error, job, work)
    finally:
        job_at_work.set(None)


async def _attempt_with_context(handler: Handler, job: ClaimedJob, work: Work) -> Ended:
    """A wait at which the handler was ended is never passed: where it swallows the suspension and returns, it waits all
    the same, and is called again."""
    invocation = Invocation(job, work, main=asyncio.current_task())
    await invocation.load()
    try:
        value = await handler.call(job, JobContext(job, work, invocation, is_async=True))
    except BaseException as error:
        besides = _besides_suspension(error)
        if besides is error:
            raise
        if besides is not None:
            raise besides from None
    else:
        if not invocation.is_parked:
            return _completed_with(invocation, value)
    return Suspended(await invocation.waits())


def _besides_suspension(error: BaseException) -> BaseException | None:
    """What was raised besides the suspension of a wait; a TaskGroup wraps it. None: nothing."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(Suspension)[1]
    return None if isinstance(error, Suspension) else error


def _completed_with(invocation: Invocation, value: object) -> Completed:
    invocation.finish()
    return completed(value) if invocation.output is None else Completed(invocation.output)


def completed(value: object) -> Completed:
    """What a returned value ends the attempt in; raises InvalidOutput."""
    return _NO_OUTPUT if value is None else Completed(encode_output(value))


def failed(error: BaseException, job: ClaimedJob) -> Failed:
    """What an exception ends the attempt in."""
    error = _only_leaf(error)
    reason, retry_after = FailureReason.HANDLER_ERROR, None
    match error:
        case InvalidPayload():
            reason = FailureReason.INVALID_PAYLOAD
        case Reject():
            reason = FailureReason.REJECTED
        case InvalidOutput() | NonDeterministicHandler():
            pass
        case Retry(after=after) if after is not None:
            retry_after = after
        case _:
            retry_after = job.retry.delay_after(job.attempts)
    name = type(error).__name__
    return Failed(Failure(_message(error), type=clean(name, most=200), reason=reason, retry_after=retry_after))


def timed_out(job: ClaimedJob) -> Failed:
    """What an attempt ends in that took longer than the job allows."""
    return Failed(
        Failure(
            f"timed out after {job.timeout_ms} ms",
            type="TimeoutError",
            reason=FailureReason.TIMEOUT,
            retry_after=job.retry.delay_after(job.attempts),
        )
    )


def _told(error: BaseException, job: ClaimedJob, work: Work) -> Failed | Gone:
    """The outcome, with a line in the log: where it happened, and not the message, which may repeat the payload."""
    if isinstance(_only_leaf(error), LeaseLost):
        return Gone()
    outcome = failed(error, job)
    if not work.cancelled:
        log.warning(
            "job.failed",
            job_id=str(job.id),
            job_type=job.job_type,
            attempt=job.attempts,
            reason=outcome.failure.reason.value,
            error=outcome.failure.type,
            where=_where(_only_leaf(error)),
        )
    return outcome


def _where(error: BaseException) -> list[str]:
    """The innermost frames, outermost first."""
    frames: deque[str] = deque(maxlen=_MOST_FRAMES)
    for frame, line in walk_tb(error.__traceback__):
        code = frame.f_code
        if code.co_filename != __file__:
            frames.append(f"{code.co_filename}:{line} {code.co_name}")
    return list(frames)


def _only_leaf(error: BaseException) -> BaseException:
    """A Retry raised inside a TaskGroup comes wrapped."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _message(error: BaseException) -> str:
    match error:
        case asyncio.CancelledError():
            return "the handler was cancelled from within"
        case SystemExit():
            return f"the handler called for exit ({clean(str(error.code), most=200)})"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of the handler's that cannot even be printed
        text = ""
    return clean(text) or clean(type(error).__name__)
