"""The one failure this package reports."""


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be found, started or stopped; the message says what to do about it."""
