"""The command line as a user meets it: its help, its sentences, its exit codes."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataqueue.domain.job import FailureReason, Job, JobStatus, NewJob
from dataqueue.domain.keys import PREFIX, Scope, digest_of
from dataqueue.ids import new_id
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Storage
from tests.workers.processes import POLL, until
from workers import cli_dev, cli_keys, cli_serve, cli_worker
from workers.cli_settings import settings_of
from workers.logs import masked

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "workers"]
COMMANDS: list[tuple[str, ...]] = [(), ("dev",), ("serve",), ("worker",), ("migrate",), ("keys",), ("keys", "create")]
NOWHERE = "postgresql://queue:hunter2@127.0.0.1:1/queue"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DATAQUEUE_")}
    return ours | {f"DATAQUEUE_{name}": value for name, value in variables.items()}


async def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        cwd=cwd,
        env=environment(**variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


def assert_one_sentence(done: Done, *, code: int, saying: str) -> None:
    assert done.code == code, done
    assert done.out == ""
    assert saying in done.err
    assert done.err.startswith("dataqueue: ")
    assert done.err.count("\n") == 1, done.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
async def test_help_is_a_help(command: tuple[str, ...], option: str) -> None:
    done = await run(*command, option)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: {' '.join(['dataqueue', *command])} ")
    if len(command) == 2 or command in [("dev",), ("serve",), ("worker",), ("migrate",)]:
        assert "Example:\n" in done.out
    assert "tether" not in done.out


@pytest.mark.parametrize("command", [cli_dev.dev, cli_serve.serve, cli_worker.worker, cli_keys.create])
def test_the_defaults_that_help_shows_are_those_of_the_settings(command: object) -> None:
    assert callable(command)
    settings = WorkerSettings.model_construct()
    renamed = {"lease": "lease_seconds", "poll": "poll_seconds", "drain": "drain_seconds"}
    shared = {
        name: (parameter.default, getattr(settings, renamed.get(name, name)))
        for name, parameter in inspect.signature(command).parameters.items()
        if hasattr(settings, renamed.get(name, name)) and name != "imports"
    }
    assert shared
    assert all(shown == held for shown, held in shared.values()), shared


async def test_the_version_is_the_distributions() -> None:
    done = await run("--version")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("dataqueue 0.")


async def test_help_imports_no_database() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "workers",
        "--help",
        stderr=asyncio.subprocess.PIPE,
        stdout=-3,
        cwd=ROOT,
    )
    _, err = await process.communicate()
    assert not [
        name for name in (b"sqlalchemy", b"asyncpg", b"fastapi", b"uvicorn", b"pydantic_settings") if name in err
    ]


async def test_an_unknown_command_is_a_usage_error() -> None:
    assert (await run("sevre")).code == 2


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "dev"])
async def test_a_wrong_setting_is_named_and_its_value_is_not_repeated(command: str) -> None:
    done = await run(command, POOL_SIZE="hunter2")
    assert_one_sentence(done, code=2, saying="DATAQUEUE_POOL_SIZE: input should be a valid integer")
    assert "hunter2" not in done.err


def test_a_variable_that_is_empty_is_one_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "URL", "PORT"):
        monkeypatch.setenv(f"DATAQUEUE_{name}", "")
    settings = settings_of(WorkerSettings)
    assert (settings.home_folder, settings.url, settings.port) == (
        Path("~/.local/share/dataqueue").expanduser(),
        None,
        8000,
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@db/queue", "postgresql://me:***@db/queue"),
        (
            "cannot reach postgresql+asyncpg://me:se%40cret@db:5432/queue now",
            "cannot reach postgresql+asyncpg://me:***@db:5432/queue now",
        ),
        ("redis://:secret@db", "redis://:***@db"),
        ("rediss://me:se%2Fcret@db:6379/0", "rediss://me:***@db:6379/0"),
        ("unix://me:secret@/tmp/redis.sock?db=0", "unix://me:***@/tmp/redis.sock?db=0"),
        ("http://127.0.0.1:8000/docs", "http://127.0.0.1:8000/docs"),
        ("postgresql://queue@/postgres?host=/tmp/socket", "postgresql://queue@/postgres?host=/tmp/socket"),
    ],
)
def test_passwords_in_urls_are_not_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


async def test_a_storage_of_another_kind_is_refused() -> None:
    assert_one_sentence(await run("keys", "create", URL="mysql://db/queue"), code=2, saying="use postgresql://")


@pytest.mark.parametrize("command", [("keys", "create"), ("serve", "--host", "0.0.0.0", "--port", "0")])
async def test_a_storage_that_is_away_is_said_without_its_password(command: tuple[str, ...], nowhere: str) -> None:
    done = await run(*command, URL=nowhere)
    assert_one_sentence(done, code=1, saying="")
    assert "hunter2" not in done.err


async def test_a_key_is_alone_on_stdout_and_works(storage_url: str, live_storage: Storage) -> None:
    done = await run(
        "keys", "create", "--name", "shop", "--scopes", "enqueue, manage", "--namespace", "eu", URL=storage_url
    )
    assert done.code == 0, done
    assert done.out.startswith(PREFIX)
    assert done.out.count("\n") == 1
    assert done.out.strip() not in done.err
    caller = await live_storage.keys.find(digest_of(done.out.strip()))
    assert caller is not None
    assert (caller.namespace, caller.scopes) == ("eu", frozenset({Scope.ENQUEUE, Scope.MANAGE}))


async def test_a_first_key_is_made_once(storage_url: str) -> None:
    first = await run("keys", "create", "--if-none-exist", URL=storage_url)
    again = await run("keys", "create", "--if-none-exist", URL=storage_url)
    assert first.out.startswith(PREFIX)
    assert (again.code, again.out) == (0, "")
    assert "exists already" in again.err


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("--scopes", "enqueue,everything"), "--scopes: everything; choose from enqueue, read, work, manage, admin"),
        (("--scopes", " ,"), "--scopes: none given"),
        (("--name", " "), "--name: say what the key is for"),
    ],
)
async def test_a_key_needs_known_scopes_and_a_name(arguments: tuple[str, ...], saying: str) -> None:
    assert_one_sentence(await run("keys", "create", *arguments), code=2, saying=saying)


async def test_serve_refuses_other_machines_without_a_key(storage_url: str) -> None:
    done = await run("serve", "--host", "0.0.0.0", "--port", "0", URL=storage_url)
    assert_one_sentence(done, code=2, saying="no API key exists: make one with `dataqueue keys create`")


async def test_serve_refuses_an_address_that_is_not_this_machines(storage_url: str) -> None:
    done = await run("serve", "--host", "host.invalid", URL=storage_url)
    assert done.code in {1, 2}
    assert done.err.count("\n") == 1, done


async def test_a_worker_without_handlers_says_how_to_name_them() -> None:
    done = await run("worker", URL=NOWHERE)
    assert_one_sentence(done, code=2, saying="dataqueue worker --import pkg.handlers")


async def test_handlers_that_cannot_be_imported_stop_the_worker_with_one_sentence() -> None:
    done = await run("worker", "--import", "tests.workers.nowhere", "--processes", "3", URL=NOWHERE)
    assert_one_sentence(done, code=2, saying="handler module 'tests.workers.nowhere' cannot be found")


async def test_job_types_without_a_handler_are_named() -> None:
    handlers = ("--import", "tests.workers.crashing_handlers")
    done = await run("worker", *handlers, "--job-types", "fine,other", URL=NOWHERE)
    assert_one_sentence(done, code=2, saying="no handler for other; there are handlers for fine, exits")
    assert_one_sentence(
        await run("worker", *handlers, "--job-types", ",", URL=NOWHERE), code=2, saying="names no job type"
    )


@asynccontextmanager
async def a_worker(url: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`dataqueue worker`, in a process group of its own, as a terminal starts it."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "worker",
        "--import",
        "tests.workers.crashing_handlers",
        *arguments,
        cwd=ROOT,
        env=environment(URL=url, LEASE_SECONDS="3", MAX_CRASHES="1"),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def ended(storage: Storage, job: NewJob) -> JobStatus:
    return (await read_when(storage, job, lambda read: read.status.is_terminal)).status


async def read_when(storage: Storage, job: NewJob, condition: Callable[[Job], bool]) -> Job:
    """The job, as soon as this is true of it."""
    async with asyncio.timeout(40):
        while True:
            read = await storage.jobs("default").get(job.id)
            if condition(read):
                return read
            await asyncio.sleep(POLL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_worker_runs_jobs_until_a_signal_to_its_group_drains_it(
    storage_url: str, live_storage: Storage, number: signal.Signals
) -> None:
    job = NewJob(id=new_id(), job_type="fine")
    await live_storage.jobs("default").enqueue([[job]])
    async with a_worker(storage_url, "--processes", "2") as process:
        assert await ended(live_storage, job) is JobStatus.COMPLETED
        os.killpg(process.pid, number)
        assert await process.wait() == 0


SLOW_TO_IMPORT = """
import threading
from pathlib import Path

from dataqueue import handler


@handler("fine")
async def fine() -> None: ...


Path(__file__).with_name("importing").touch()
threading.Event().wait(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["workers.process", "workers"])
async def test_a_signal_while_handlers_are_imported_ends_the_worker_with_0(
    tmp_path: Path, module: str, number: signal.Signals
) -> None:
    (tmp_path / "slow_handlers.py").write_text(SLOW_TO_IMPORT)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *(["worker"] if module == "workers" else []),
        cwd=tmp_path,
        env=environment(URL=NOWHERE, IMPORT="slow_handlers") | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until((tmp_path / "importing").exists, "the handlers are being imported")
        os.killpg(process.pid, number)
        async with asyncio.timeout(20):
            _, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def test_a_handler_that_ends_its_process_takes_only_its_own_job_down(
    storage_url: str, live_storage: Storage
) -> None:
    jobs = live_storage.jobs("default")
    bad, good = NewJob(id=new_id(), job_type="exits"), NewJob(id=new_id(), job_type="fine")
    async with a_worker(storage_url) as process:
        await jobs.enqueue([[bad]])
        await read_when(live_storage, bad, lambda read: read.crashes == 1)
        await jobs.enqueue([[good]])
        assert await ended(live_storage, good) is JobStatus.COMPLETED
        assert await ended(live_storage, bad) is JobStatus.FAILED
        read = await jobs.get(bad.id)
        assert (read.failure_reason, read.crashes) == (FailureReason.CRASHED, 2)
        assert process.returncode is None
