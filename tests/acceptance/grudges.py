"""Storages that ask for a password, or refuse what they are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import Redis

from dataqueue.storage.backend import Backend, backend_of
from tests.acceptance.services import look

_TYPES: Final = "{dq:default}:types"


def with_password(url: str, password: str) -> str:
    """The URL of the same storage, with a user and a password."""
    if backend_of(url) is Backend.POSTGRES:
        # It lets everybody have any.
        return url.replace("://queue@", f"://queue:{password}@")
    with Redis.from_url(url) as client:
        client.execute_command("ACL SETUSER", "queue", "on", f">{password}", "~*", "&*", "+@all")
    return url.replace("unix://", f"unix://queue:{password}@")


@contextmanager
def refusing(url: str, text: str) -> Iterator[str]:
    """While the block runs, a job with such a payload cannot be stored; what is then logged of the reason."""
    if backend_of(url) is Backend.POSTGRES:
        look(url, f"alter table dataqueue.job_spec add constraint planted check (payload::text not like '%{text}%')")
        yield "CheckViolationError (23514)"
        return
    with Redis.from_url(url) as client:
        # Somebody else's value where our scripts keep theirs.
        kept = client.dump(_TYPES)
        client.set(_TYPES, text)
        yield "redis.exceptions.ResponseError"
        client.restore(_TYPES, 0, kept, replace=True) if kept else client.delete(_TYPES)
