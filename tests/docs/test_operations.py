"""docs/operations.md: its table of metrics is that of the processes, and its commands do what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from dataqueue.domain.job import Failure
from dataqueue.handlers import HandlerRegistry
from dataqueue.maintenance import Maintenance
from dataqueue.metrics.families import exposition
from dataqueue.metrics.loop_lag import LoopLag
from dataqueue.processing.leases import Held
from dataqueue.processing.worker import Worker as InProcess
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Storage
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker
from tests.api.support import client_of, enqueued, started
from tests.docs.test_readme import ADDRESS, run_shell
from tests.unit.claimed import a_claimed_job
from workers.metrics import WorkerMetrics

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "operations.md").read_text()
Row = tuple[str, str, frozenset[str]]
"""A metric's name, kind and labels."""


def documented(of: str) -> set[Row]:
    """What the table says such a process tells."""
    rows = re.findall(r"^\| `(dataqueue_\w+)` \| (\w+) \|([^|]*)\| (\w+) \| [^|]+ \|$", PAGE, re.MULTILINE)
    return {
        (name, kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, where in rows
        if where in (of, "both")
    }


def told(text: str) -> set[Row]:
    return {_row(family) for family in text_string_to_metric_families(text)}


def _row(family: Metric) -> Row:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels: Iterable[str] = (label for sample in family.samples for label in sample.labels if label != "le")
    return name, family.type, frozenset(labels)


def test_the_table_has_a_row_for_each_metric_and_its_rows_are_read() -> None:
    rows = re.findall(r"^\| `dataqueue_\w+`.*$", PAGE, re.MULTILINE)
    assert len(rows) == len(documented("api") | documented("worker")) > 30


async def test_the_table_lists_what_the_api_tells_and_nothing_else(storage: Storage) -> None:
    async with started(storage) as app, client_of(app) as client:
        await enqueued(client)
        await client.get("/metrics")
        assert told((await client.get("/metrics")).text) == documented("api")


async def test_the_table_lists_what_a_worker_tells_and_nothing_else(storage: Storage) -> None:
    registry, settings = HandlerRegistry(), WorkerSettings()
    registry.add("mail", lambda: None, local_names={})
    metrics = WorkerMetrics(storage, Maintenance(storage, settings).reclaimer)
    worker = InProcess(settings, storage, registry, worker_id="ann", open_storage=lambda: storage)
    held = Held(a_claimed_job(), deadline=0.0)
    metrics.jobs.started(held)
    metrics.jobs.failed(held, Failure("no"))
    metrics.jobs.failed(held, Failure("no", retry_after=held.job.retry.delay_after(1)))
    assert told(exposition(metrics.sources(worker, LoopLag())).decode()) == documented("worker")


def test_every_metric_that_the_page_speaks_of_is_in_its_table() -> None:
    known = {name for name, _, _ in documented("api") | documented("worker")}
    spoken_of = set(re.findall(r"dataqueue_\w+", re.sub(r"^\| `dataqueue_.*$", "", PAGE, flags=re.MULTILINE)))
    unknown = {name for name in spoken_of if name.removesuffix("_bucket") not in known}
    assert unknown == set()


def test_what_is_to_be_pasted_into_prometheus_is_yaml() -> None:
    scraping, alerts = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    assert [config["job_name"] for config in scraping["scrape_configs"]] == ["dataqueue-api", "dataqueue-worker"]
    rules = alerts["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 8
    for rule in rules:
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_links_inside_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors


@pytest.mark.parametrize("event", sorted(set(re.findall(r"`((?:\w+)\.(?:\w+))`", PAGE.partition("## Logs")[2]))))
def test_an_event_that_the_page_names_is_one_that_is_logged(event: str) -> None:
    if event in {"CHANGELOG.md", "api.log", "worker.log"}:
        return
    sources = [path.read_text() for folder in ("dataqueue", "app", "workers") for path in (ROOT / folder).rglob("*.py")]
    assert any(f'"{event}"' in source for source in sources), event


def blocks(language: str) -> list[str]:
    """Those that a reader runs as they stand."""
    return re.findall(rf"^<!-- test -->\n```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def database(another_storage: Callable[[], str]) -> str:
    return another_storage()


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API and a worker."""
    folder = tmp_path_factory.mktemp("operations")
    with Api(database, log=folder / "api.log") as api, Worker(database, Notes(folder / "notes")) as worker:
        api.until_ready()
        worker.until_ready()
        yield api


@pytest.mark.parametrize("block", blocks("bash"))
def test_the_commands_of_the_page_work(service: Api, tmp_path: Path, block: str) -> None:
    workers = until(lambda: service.http.get("/v1/workers").json()["data"], "a worker that is seen")
    text = block.replace(f"http://{ADDRESS}", service.url).replace("<worker>", workers[0]["id"])
    assert service.url in text
    run_shell(text, tmp_path)
