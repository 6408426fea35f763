"""Durable handlers made by chance, what each must come to, and a world that remembers what they did to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from dataqueue import JobContext
from dataqueue.clock import ManualClock
from dataqueue.domain.tokens import Token, TokenStatus

WAITS: Final = (timedelta(microseconds=1), timedelta(seconds=40), timedelta(hours=3))


@dataclass(frozen=True)
class Act:
    """A step. Its function raises so many times before it succeeds."""

    failures: int = 0
    in_thread: bool = False


@dataclass(frozen=True)
class Sleep:
    duration: timedelta


@dataclass(frozen=True)
class Ask:
    """Makes a token and waits for it."""

    timeout: timedelta | None


@dataclass(frozen=True)
class Together:
    """Programs that run side by side."""

    parts: tuple[Program, ...]


Program = tuple["Act | Sleep | Ask | Together", ...]

_simple = st.one_of(
    st.builds(Act, failures=st.sampled_from((0, 0, 0, 1, 2)), in_thread=st.booleans()),
    st.builds(Sleep, st.sampled_from(WAITS)),
    st.builds(Ask, st.sampled_from((None, *WAITS[1:]))),
)
_programs = st.lists(_simple, min_size=1, max_size=3).map(tuple)
PROGRAMS: Final = st.lists(
    st.one_of(_simple, _simple, st.builds(Together, st.lists(_programs, min_size=2, max_size=3).map(tuple))),
    min_size=1,
    max_size=5,
).map(tuple)


@dataclass
class World:
    """What lies outside of the queue: what was done to it, which no crash takes back."""

    clock: ManualClock
    calls: Counter[str] = field(default_factory=Counter)
    stored: set[str] = field(default_factory=set)
    began: dict[str, datetime] = field(default_factory=dict)
    tokens: dict[str, UUID] = field(default_factory=dict)

    def act(self, name: str, failures: int) -> dict[str, str]:
        assert name not in self.stored, f"step {name} was stored and is done again"
        self.calls[name] += 1
        if self.calls[name] <= failures:
            raise RuntimeError(f"{name} fails {failures} times")
        return {"did": name}


async def play(program: Program, ctx: JobContext, world: World, path: str = "p") -> list[Any]:
    """Do what a program says."""
    results: list[Any] = []
    for number, part in enumerate(program):
        name = f"{path}.{number}"
        match part:
            case Act(failures, in_thread):
                results.append(await _act(ctx, world, name, failures, in_thread=in_thread))
            case Sleep(duration):
                began = world.began.setdefault(name, world.clock.now())
                await ctx.wait_for(duration, name=name)
                assert world.clock.now() >= began + duration, f"wait {name} was cut short"
                results.append("slept")
            case Ask(timeout):
                token = await ctx.create_token(timeout=timeout, name=f"{name}.token")
                world.tokens[name] = token.id
                answer = await ctx.wait_for_token(token, name=name)
                results.append(answer.output if answer.ok else "timed out")
            case Together(parts):
                branches = [play(branch, ctx, world, f"{name}.{n}") for n, branch in enumerate(parts)]
                results.append(await asyncio.gather(*branches))
    return results


async def _act(ctx: JobContext, world: World, name: str, failures: int, *, in_thread: bool) -> Any:
    if in_thread:
        return await ctx.run(name, world.act, name, failures)

    async def act() -> dict[str, str]:
        await asyncio.sleep(0)
        return world.act(name, failures)

    return await ctx.run(name, act)


def outcome_of(program: Program, answers: dict[str, Any], path: str = "p") -> list[Any]:
    """What a program must come to, whatever went wrong on the way. `answers`: what each of its tokens ended in."""
    results: list[Any] = []
    for number, part in enumerate(program):
        name = f"{path}.{number}"
        match part:
            case Act():
                results.append({"did": name})
            case Sleep():
                results.append("slept")
            case Ask():
                results.append(answers[name])
            case Together(parts):
                results.append([outcome_of(branch, answers, f"{name}.{n}") for n, branch in enumerate(parts)])
    return results


def names_of(program: Program, path: str = "p") -> Iterable[str]:
    """The names under which it stores something."""
    for number, part in enumerate(program):
        name = f"{path}.{number}"
        match part:
            case Together(parts):
                for n, branch in enumerate(parts):
                    yield from names_of(branch, f"{name}.{n}")
            case Ask():
                yield from (name, f"{name}.token")
            case _:
                yield name


def ended_in(tokens: Sequence[Token]) -> dict[UUID, Any]:
    """By token: its output as its name says it (every output of these tests is the text of a number), or timed out."""
    return {
        token.id: int(token.output or "0") if token.status is TokenStatus.COMPLETED else "timed out" for token in tokens
    }
