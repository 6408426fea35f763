"""What a Redis says of what it did: how many commands, and how long each of our scripts took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from benchmarks.figures import median
from dataqueue.storage.redis.scripts import script

_ROUNDS: Final = 5
_SEEN_FROM_US: Final = 20
"""The server notes what takes longer. What a script calls is noted besides, thousands of commands of a few µs, and they
would be what is measured: forgetting those of one round took 3 ms and more of the first script of the next."""


class ServerLook:
    """What the server says of what it did meanwhile."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def commands(self, act: Callable[[], Awaitable[object]], *, before: Callable[[], Awaitable[object]]) -> int:
        """Commands, those that scripts call included. The second time counts: then the server knows the script."""
        count = 0
        for _ in range(2):
            await before()
            count = -await self._calls()
            await act()
            count += await self._calls() - 1
        return count

    async def scripts(self, act: Callable[[], Awaitable[object]]) -> list[tuple[str, int]]:
        """Each script that was run, and its microseconds; of those that took longer than `_SEEN_FROM_US`."""
        await self._client.config_set("slowlog-max-len", 100_000)
        await self._client.config_set("slowlog-log-slower-than", _SEEN_FROM_US)
        await self._client.slowlog_reset()
        await act()
        # By words of its own: the driver makes one text of a command.
        entries = await self._client.execute_command("SLOWLOG", "GET", 100_000)
        await self._client.config_set("slowlog-log-slower-than", -1)
        names = _names()
        commands = [(words, spent) for _, _, spent, words, *_ in entries]
        return [(names[words[1]], spent) for words, spent in commands if words[0] == "EVALSHA" and words[1] in names]

    async def longest(self, act: Callable[[], Awaitable[object]]) -> dict[str, int]:
        """The longest run of each script, in the median of some rounds: others use the machine, too."""
        rounds: defaultdict[str, list[int]] = defaultdict(list)
        for _ in range(_ROUNDS):
            longest: defaultdict[str, int] = defaultdict(int)
            for name, spent in await self.scripts(act):
                longest[name] = max(longest[name], spent)
            for name, spent in longest.items():
                rounds[name].append(spent)
        return {name: int(median(spent)) for name, spent in rounds.items()}

    async def _calls(self) -> int:
        said = await self._client.info("commandstats")
        return sum(int(each["calls"]) for each in said.values())


@cache
def _names() -> dict[str, str]:
    """Scripts by what the server knows them by."""
    nouns = ("jobs", "upkeep", "tally", "events", "workers", "job_types")
    root = files("dataqueue.storage.redis") / "lua"
    found = [f"{noun}/{path.name.removesuffix('.lua')}" for noun in nouns for path in (root / noun).iterdir()]
    return {script(name).sha: name for name in found}
