"""A cluster for each test: a test may break it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.cluster.redis_clusters import Cluster, redis_cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with redis_cluster() as made:
        yield made


@pytest.fixture
async def cluster_storage(cluster: Cluster) -> AsyncIterator[Storage]:
    """A storage on the cluster, as in production."""
    opened = open_storage(cluster.url)
    yield opened
    await opened.close()
