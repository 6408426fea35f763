"""The one failure this package reports."""

from dataqueue.errors import DataQueueError


class EmbeddedError(DataQueueError):
    """The embedded server cannot be found, started or stopped; the message says what to do about it."""

    code = "storage_not_ready"
