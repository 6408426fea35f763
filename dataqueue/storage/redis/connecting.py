"""From a URL to connections.

A cluster's is `redis+cluster://` (with TLS `rediss+cluster://`) and one of its nodes, `user:password@host:port`, or
several, `user:password@host:port,host:port`: it is enough that one of them answers, which tells of all the others.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterError

from dataqueue.errors import Invalid

CONNECT_TIMEOUT: Final = 1.5
_ROOM_FOR_CLOSING: Final = 4
_OPTIONS: Final[dict[str, Any]] = {
    "decode_responses": True,
    "socket_connect_timeout": CONNECT_TIMEOUT,
    # Whoever sends says how long it may take.
    "socket_timeout": None,
    # The older protocol: it says the same in fewer words, and messages to a listener come as answers do.
    "protocol": 2,
    "health_check_interval": 0,
    # Nothing is sent twice: what to do about a reply that never came is for whoever knows what was asked.
    "retry": Retry(NoBackoff(), 0),
}


class _Cluster(RedisCluster):
    """The driver's client. That one takes it for granted that it has heard of each node it is sent to."""

    def get_node(self, host: str | None = None, port: int | None = None, node_name: str | None = None) -> ClusterNode:
        """ClusterError: a slot is on its way to a node that has none yet, so that nobody has told of it."""
        if (node := super().get_node(host, port, node_name)) is None:
            raise ClusterError("sent to a node that is not known yet")
        return node


def is_cluster(url: str) -> bool:
    return urlsplit(url).scheme.endswith("+cluster")


def check(url: str) -> None:
    """Invalid: the driver makes nothing of it."""
    database_of(url)


def database_of(url: str) -> int:
    """The number of the database that a URL names."""
    try:
        return max(int(parse_url(one).get("db") or 0) for one in _nodes(url))
    except ValueError as error:
        # Not what the driver says of it: that may quote a password.
        raise Invalid("the URL of Redis cannot be read: use redis://user:password@host:6379/0") from error


def pool_of(url: str) -> ConnectionPool:
    """What makes connections to one server; it keeps none for us."""
    return ConnectionPool.from_url(url, **_OPTIONS)


def cluster_of(url: str, *, size: int) -> RedisCluster:
    """A client that finds the node of a key, for so many callers at a time."""
    first, *others = _nodes(url)
    return _Cluster.from_url(
        first,
        startup_nodes=[_node(one) for one in others],
        # Who finds all connections of a node in use is refused; one that is being closed is still counted.
        max_connections=size * _ROOM_FOR_CLOSING,
        # While one part of the cluster is away, the namespaces of the others go on.
        require_full_coverage=False,
        # Redirections (MOVED, ASK) are followed, which repeats nothing: a node that redirects has done nothing. It is
        # believed. To look at all slots anew after some of them would close every connection, also those on which
        # others wait for an answer.
        reinitialize_steps=0,
        **_OPTIONS,
    )


def _nodes(url: str) -> list[str]:
    """A URL as the driver takes it, for each host that is named."""
    plain = re.sub(r"^(rediss?)\+cluster://", r"\1://", url)
    if not is_cluster(url):
        return [plain]
    parts = urlsplit(plain)
    user, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]


def _node(url: str) -> ClusterNode:
    place = parse_url(url)
    return ClusterNode(place.get("host", "localhost"), place.get("port", 6379))
