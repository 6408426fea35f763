"""How our processes log: for a person at a terminal, as JSON lines for everything else. On stderr, always."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from dataqueue.log_context import add_context
from dataqueue.traces import trace_of

_OURS: Final = ("app", "asyncio", "asyncpg", "dataqueue", "uvicorn", "workers")
"""Loggers that tell of exceptions whose message may repeat what a caller sent."""
_SHOWN_EXCEPTION: Final = re.compile(r"exception=(\w+)\(.*\)>", re.DOTALL)
_SECRETS: Final = (
    (re.compile(r"(://[^:/?#@\s]*):[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    # A key of ours, however it got there; shorter ones are the prefixes that lists show.
    (re.compile(r"\bdq_[A-Za-z0-9_-]{16,}"), "dq_***"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), "whsec_***"),
    (
        re.compile(r"""(?i)\b(authorization['"]?+\s*+[:=,]\s*+(?:b(?=['"]))?+['"]?+)(?!bearer\s|basic\s)[^\s'",;)]+"""),
        r"\1***",
    ),
    (re.compile(r"""(?i)\b(api_key|password|secret|signature|ticket|token)=[^&\s'",;)]+"""), r"\1=***"),
)


def masked(text: str) -> str:
    """The text with what looks like a secret blotted out: passwords and signatures in URLs, keys, signing secrets, and
    tickets."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _shown(value) for name, value in event.items()}


def _shown(value: Any) -> Any:
    match value:
        case str():
            return masked(value)
        case None | bool() | int() | float():
            return value
        case dict():
            return {masked(str(name)): _shown(one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_shown(one) for one in value]
    return masked(repr(value))


def _tell_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Ours without their messages; those that a handler logs itself as it meant them."""
    record: logging.LogRecord = event["_record"]
    error = event.get("exc_info")
    if isinstance(error, tuple):
        error = error[1]
    if record.name == "asyncio":
        # "Task exception was never retrieved" shows the exception as it is.
        event["event"] = _SHOWN_EXCEPTION.sub(r"exception=\1>", str(event["event"]))
    if record.name.partition(".")[0] not in _OURS:
        return structlog.processors.format_exc_info(logger, method, event)
    event.pop("exc_info", None)
    # True: there is one being handled, at the place of the call, which is where we are.
    error = sys.exc_info()[1] if error is True else error
    if isinstance(error, BaseException):
        event["exception"] = trace_of(error)
    return event


def configure_logging(*, level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records through one formatter."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        # Its own tracebacks would show local variables.
        plain = structlog.dev.plain_traceback
        renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(exception_formatter=plain)
    else:
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                _tell_exception,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("alembic", "asyncio", "sqlalchemy", "uvicorn"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
