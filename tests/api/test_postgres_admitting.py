"""An API process sees to jobs that came in somebody's transaction with a type nobody had used."""

from __future__ import annotations

from itertools import count

from app.main import Api
from tests.api.support import eventually
from tests.storage.raw import connected


async def test_a_commit_has_the_stager_look(api: Api, postgres_url: str) -> None:
    expected: list[float] = []
    numbers = count()

    def expect(seconds: float) -> None:
        expected.append(seconds)

    api.service.stager.expect = expect  # type: ignore[method-assign]  # what is called is what is asked
    async with connected(postgres_url) as connection:

        async def told() -> bool:
            # Again and again: a hint sent before anybody listened is lost, as hints may be.
            await connection.execute("select dataqueue_enqueue($1)", f"new-{next(numbers)}")
            return expected != []

        await eventually("the stager was told", told)
    assert set(expected) == {0}
