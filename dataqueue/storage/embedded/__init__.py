"""A real PostgreSQL or Redis, started and stopped by us, for machines that have none.

It is shared by every process that opens the same home and ends with the last of them; a process that is
killed drops its share with its life. Failures are `EmbeddedError`, with a sentence that says the fix.
"""

from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.opening import EmbeddedPostgres, open_embedded
from dataqueue.storage.embedded.redis_opening import EmbeddedRedis, open_embedded_redis

__all__ = ["EmbeddedError", "EmbeddedPostgres", "EmbeddedRedis", "open_embedded", "open_embedded_redis"]
