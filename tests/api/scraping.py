"""Reading metrics as Prometheus does."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


class Scrape:
    """The samples of one answer."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """A sample, by its name after `dataqueue_`; None: it is not there."""
        return self._samples.get((f"dataqueue_{name}", tuple(sorted(labels.items()))))

    def labels(self, name: str) -> list[dict[str, str]]:
        return [dict(labels) for found, labels in self._samples if found == f"dataqueue_{name}"]


async def scrape(client: httpx.AsyncClient) -> Scrape:
    """What the API tells; it must be well formed."""
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=")
    return Scrape(response.text)
