"""API keys: who calls, what they may do, and in which namespace (contract 0, details B8 to B10)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

PREFIX: Final = "dq_"
TICKET_PREFIX: Final = "dqt_"
_SECRET_BYTES: Final = 32
_SHOWN: Final = len(PREFIX) + 8


class Scope(StrEnum):
    ENQUEUE = "enqueue"
    READ = "read"
    WORK = "work"
    MANAGE = "manage"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a request speaks for."""

    namespace: str
    scopes: frozenset[Scope]

    def may(self, *any_of: Scope) -> bool:
        """Whether the caller holds one of these scopes; `admin` holds all."""
        return Scope.ADMIN in self.scopes or not self.scopes.isdisjoint(any_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as kept: never the secret itself."""

    id: UUID
    name: str
    namespace: str
    scopes: frozenset[Scope]
    prefix: str
    created_at: datetime


def new_secret() -> str:
    """A key to show once: 256 random bits, so a plain digest is enough to store."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def new_ticket() -> str:
    """A one-time pass to the event stream, kept as keys are."""
    return TICKET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """What is stored and looked up instead of the secret (SHA-256)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def shown_prefix(secret: str) -> str:
    """The part of a key that lists may show."""
    return secret[:_SHOWN]
