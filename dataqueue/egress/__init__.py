"""Calls to URLs that users choose: what may be called, and a client that calls nothing else (decision 16)."""

from dataqueue.egress.addresses import Address, Network, address_of
from dataqueue.egress.answers import Answer, AnswerStream
from dataqueue.egress.client import GuardedClient, default_tls
from dataqueue.egress.errors import (
    BodyTooLarge,
    BrokenAnswer,
    CallFailed,
    ConnectFailed,
    HeadersTooLarge,
    Rule,
    TimedOut,
    UrlNotAllowed,
)
from dataqueue.egress.policy import Policy
from dataqueue.egress.resolving import Resolver, SystemResolver
from dataqueue.egress.sending import RESERVED
from dataqueue.egress.urls import Target, check_url

__all__ = [
    "RESERVED",
    "Address",
    "Answer",
    "AnswerStream",
    "BodyTooLarge",
    "BrokenAnswer",
    "CallFailed",
    "ConnectFailed",
    "GuardedClient",
    "HeadersTooLarge",
    "Network",
    "Policy",
    "Resolver",
    "Rule",
    "SystemResolver",
    "Target",
    "TimedOut",
    "UrlNotAllowed",
    "address_of",
    "check_url",
    "default_tls",
]
