"""Names of namespaces to the numbers that the tables carry."""

from __future__ import annotations

from dataqueue.errors import NotFound
from dataqueue.storage.postgres.database import Database


class Namespaces:
    """Looks each name up once. A name that is not there is asked for again: somebody may make it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[str, int] = {}

    async def id_of(self, name: str) -> int:
        """The number of a namespace; NotFound."""
        if (known := self._ids.get(name)) is not None:
            return known
        rows = await self._database.run("keys/find_namespace", name=name)
        if not rows:
            raise NotFound(f"no namespace {name!r}: `dataqueue keys create --namespace {name}` makes it")
        self._ids[name] = rows[0].id
        return self._ids[name]
