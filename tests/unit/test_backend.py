from __future__ import annotations

import pytest

from dataqueue.storage.backend import Backend, backend_of


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://db/queue", Backend.POSTGRES),
        ("postgres://db/queue", Backend.POSTGRES),
        ("postgresql+asyncpg://db/queue", Backend.POSTGRES),
        ("redis://db/0", Backend.REDIS),
        ("rediss://db/0", Backend.REDIS),
        ("unix:///tmp/redis.sock?db=0", Backend.REDIS),
        ("redis+cluster://db", Backend.REDIS),
        ("mysql://db/queue", None),
        ("redis:db", None),
        ("postgres", None),
        ("", None),
    ],
)
def test_the_scheme_of_a_url_says_what_is_behind_it(url: str, kind: Backend | None) -> None:
    assert backend_of(url) is kind
