"""Functions become handlers by what they look like, and say what is wrong when they cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from dataqueue import HandlerRegistry, Invalid, JobContext, Reject, Retry
from dataqueue.domain.job import Json
from dataqueue.invocation import Invocation
from tests.unit.claimed import a_claimed_job, work_for

if TYPE_CHECKING:
    from decimal import Decimal

    Context = JobContext


class Mail(pydantic.BaseModel):
    to: str


@pytest.fixture
def registry() -> HandlerRegistry:
    return HandlerRegistry()


def called(registry: HandlerRegistry, payload: str = '{"to":"ann"}') -> Any:
    handler, job = registry["mail"], a_claimed_job(payload=Json(payload), attempts=2)
    if not handler.takes_context:
        return handler.call(job, None)
    work = work_for(job)
    return handler.call(job, JobContext(job, work, Invocation(job, work), is_async=handler.is_async))


def test_a_handler_takes_payload_and_context(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    def send(payload: Mail, ctx: JobContext) -> object:
        return payload.to, ctx.attempt, ctx.job.job_type, ctx.cancelled

    assert called(registry) == ("ann", 2, "mail", False)


def test_a_handler_takes_a_payload_alone(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    def send(payload):  # type: ignore[no-untyped-def]
        return payload

    assert called(registry) == {"to": "ann"}


def test_a_handler_that_takes_nothing_reads_no_payload(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    def send() -> str:
        return "done"

    assert called(registry, payload="not json") == "done"


def test_a_handler_takes_a_context_alone(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    def send(ctx: JobContext) -> int:
        return ctx.attempt

    assert called(registry) == 2


def test_a_context_need_not_be_annotated_nor_imported_at_run_time(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    def send(payload: dict, ctx) -> int:  # type: ignore[no-untyped-def]
        return int(ctx.attempt)

    @registry.handler("other")
    def other(payload: Mail, ctx: JobContext | None = None) -> None: ...

    assert called(registry) == 2
    assert registry["other"].takes_context


def test_the_decorated_function_stays_callable_as_it_is(registry: HandlerRegistry) -> None:
    def send(payload: Mail) -> str:
        return payload.to

    assert registry.handler("mail")(send) is send


async def test_async_functions_are_told_from_plain_ones(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    async def send() -> int:
        return 1

    @registry.handler("plain")
    def plain() -> None: ...

    class Sender:
        async def __call__(self, payload: Mail) -> str:
            return payload.to

    registry.handler("object")(Sender())
    assert (registry["mail"].is_async, registry["plain"].is_async, registry["object"].is_async) == (True, False, True)
    assert await called(registry) == 1


def test_a_model_defined_inside_a_function_is_found(registry: HandlerRegistry) -> None:
    class Inner(pydantic.BaseModel):
        n: int

    @registry.handler("mail")
    def send(payload: Inner) -> int:
        return payload.n

    assert called(registry, '{"n":3}') == 3


def test_a_wrapped_handler_keeps_its_signature(registry: HandlerRegistry) -> None:
    def traced(function: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(function)
        def wrapper(*args: object, **kwargs: object) -> object:
            return function(*args, **kwargs)

        return wrapper

    @registry.handler("mail")
    @traced
    def send(payload: Mail) -> str:
        return payload.to

    assert called(registry) == "ann"


def test_two_handlers_of_a_type_are_refused_with_both_places(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    def first() -> None: ...

    with pytest.raises(Invalid) as caught:

        @registry.handler("mail")
        def second() -> None: ...

    message = str(caught.value)
    assert "'mail'" in message
    for name, function in (("first", first), ("second", None)):
        assert f"{name} ({__file__}:" in message
        assert function is None or f":{function.__code__.co_firstlineno})" in message


def unresolvable(payload: Decimal) -> None: ...


def three(payload: Mail, ctx: JobContext, more: int) -> None: ...


def stars(*args: object) -> None: ...


def keyword_only(payload: Mail, *, urgent: bool) -> None: ...


def second_is_no_context(payload: Mail, copies: int) -> None: ...


def second_has_a_default(payload: Mail, copies=3) -> None: ...  # type: ignore[no-untyped-def]


def generator(payload: Mail) -> Any:
    yield payload


async def async_generator() -> Any:
    yield 1


def opaque(payload: HandlerRegistry) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (unresolvable, "the annotation of 'payload' cannot be resolved (name 'Decimal' is not defined)"),
        (three, "it has more besides"),
        (stars, "it has args besides"),
        (keyword_only, "it has urgent besides"),
        (second_is_no_context, "its second parameter 'copies' is no JobContext"),
        (second_has_a_default, "it has copies besides"),
        (generator, "it is a generator"),
        (async_generator, "it is a generator"),
        (opaque, "its payload cannot be validated"),
    ],
)
def test_a_function_that_cannot_be_a_handler_is_refused_with_place_and_reason(
    registry: HandlerRegistry, function: Callable[..., object], reason: str
) -> None:
    with pytest.raises(Invalid) as caught:
        registry.handler("mail")(function)
    assert reason in str(caught.value)
    assert f"handler of 'mail', {__name__}.{function.__name__} ({__file__}:" in str(caught.value)
    assert registry.job_types == ()


@pytest.mark.parametrize("name", ["", "a b", "x" * 201, "ä", stars])
def test_a_handler_needs_the_name_of_a_job_type(registry: HandlerRegistry, name: Any) -> None:
    with pytest.raises(Invalid, match="names its job type"):
        registry.handler(name)


@pytest.mark.parametrize(
    ("after", "delay"),
    [
        (5, timedelta(seconds=5)),
        (0, timedelta(0)),
        (0.5, timedelta(seconds=0.5)),
        (timedelta(minutes=2), timedelta(minutes=2)),
        ("1h30m", timedelta(minutes=90)),
        (None, None),
    ],
)
def test_retry_takes_any_duration(after: Any, delay: timedelta | None) -> None:
    assert Retry(after=after).after == delay


@pytest.mark.parametrize("after", [-1, "soon", float("nan"), timedelta(seconds=-1), True])
def test_retry_refuses_what_is_no_duration(after: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        Retry(after=after)


def test_retry_and_reject_say_why() -> None:
    assert str(Retry(after=1, message="not yet")) == "not yet"
    assert str(Retry()) == "the handler asked for a retry"
    assert str(Reject("no such address")) == "no such address"


async def test_hooks_run_in_order_and_back(registry: HandlerRegistry) -> None:
    said: list[str] = []

    @registry.on_startup
    def open_files() -> None:
        said.append("open files")

    @registry.on_startup
    async def connect() -> None:
        said.append("connect")

    @registry.on_shutdown
    def close_files() -> None:
        said.append("close files")

    @registry.on_shutdown
    async def disconnect() -> None:
        said.append("disconnect")

    await registry.start_up()
    await registry.shut_down()
    assert said == ["open files", "connect", "disconnect", "close files"]


async def test_a_failing_shutdown_hook_does_not_keep_the_others_from_running(registry: HandlerRegistry) -> None:
    said: list[str] = []
    registry.on_shutdown(lambda: said.append("closed"))

    @registry.on_shutdown
    async def broken() -> None:
        raise OSError("no")

    with pytest.raises(ExceptionGroup) as caught:
        await registry.shut_down()
    assert [type(error) for error in caught.value.exceptions] == [OSError]
    assert said == ["closed"]
