"""What a call to a user's URL can end in, other than an answer. Nothing here repeats what the receiver said."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from dataqueue.errors import DataQueueError, Invalid


class Rule(StrEnum):
    """What a URL broke."""

    LENGTH = "length"
    CHARACTERS = "characters"
    BACKSLASH = "backslash"
    FRAGMENT = "fragment"
    SCHEME = "scheme"
    SYNTAX = "syntax"
    USER_INFO = "user_info"
    NO_HOST = "no_host"
    ENCODED_HOST = "encoded_host"
    SCOPE = "scope"
    HOST = "host"
    NUMBER = "number"
    FORM = "form"
    PORT = "port"
    ADDRESS = "address"


_FIX: Final = {
    Rule.LENGTH: "it is longer than 2,048 characters, or its host than 253; shorten it",
    Rule.CHARACTERS: "it has whitespace, control or invisible characters; remove them or percent-encode them",
    Rule.BACKSLASH: "it has a backslash; write / or %5C",
    Rule.FRAGMENT: "it has a fragment; remove the # and what follows",
    Rule.SCHEME: "it must begin with https:// (or http://, where the operator allows that)",
    Rule.SYNTAX: "it cannot be read without doubt; write it as https://host/path",
    Rule.USER_INFO: "it has a user name or password; remove what is before the @, and send a header instead",
    Rule.NO_HOST: "it names no host; write it as https://host/path",
    Rule.ENCODED_HOST: "its host is percent-encoded; write the host in plain characters",
    Rule.SCOPE: "its address has a scope id; write a global address or a name",
    Rule.HOST: "its host is no host name; use letters, digits, hyphens and single dots, none at the end",
    Rule.NUMBER: "its host is a number in disguise; write an IPv4 address as four decimal numbers",
    Rule.FORM: "its host is not in normal form; write the characters in their usual width and shape, or as xn--…",
    Rule.PORT: "its port is not allowed; use 443, 8443 or 8080, or with http 80 or 8080",
    # One sentence for every address: it must not tell what a name resolves to, nor what is there.
    Rule.ADDRESS: "its host is not at a public address; use one that is, or have the operator allow private ones"
    " (DATAQUEUE_WEBHOOK_ALLOW_PRIVATE)",
}


class UrlNotAllowed(Invalid):
    """We do not call this URL, and will not until it or the policy is changed."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(f"this URL is not allowed: {_FIX[rule]}", loc=("url",), code="url_not_allowed")
        self.rule = rule


class CallFailed(DataQueueError):
    """A call that was allowed and brought no answer. Another try may."""

    code = "call_failed"


class ConnectFailed(CallFailed):
    """No connection came about: nothing was sent."""


class TimedOut(CallFailed):
    """A limit of time has passed."""


class BodyTooLarge(CallFailed):
    """The body went beyond the caller's limit, of which `limit` bytes at most were kept."""

    def __init__(self, limit: int, *, status: int) -> None:
        super().__init__(f"the body of the answer is larger than {limit} bytes")
        self.limit, self.status = limit, status


class HeadersTooLarge(CallFailed):
    """The answer's head went beyond our limit."""


class BrokenAnswer(CallFailed):
    """What came is not HTTP, or ended too early."""
