"""Names of namespaces to the numbers that the tables carry."""

from __future__ import annotations

from typing import Final

from dataqueue.storage.postgres.database import Database

NOWHERE: Final = -1


class Namespaces:
    """Looks each name up once. A name that is not there is asked for again: somebody may make it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[str, int] = {}

    async def id_of(self, name: str) -> int:
        """The number of a namespace; `NOWHERE`, which holds nothing, when there is none of that name."""
        if (known := self._ids.get(name)) is not None:
            return known
        rows = await self._database.run("keys/find_namespace", name=name)
        if not rows:
            return NOWHERE
        self._ids[name] = rows[0].id
        return self._ids[name]
