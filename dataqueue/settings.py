"""Settings, read once at the edge from `DATAQUEUE_*` and passed down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr, TypeAdapter
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dataqueue.domain.durations import parse_duration
from dataqueue.domain.origins import parse_origins
from dataqueue.domain.retention import Retention
from dataqueue.storage.backend import Backend

_MONTH: Final = timedelta(days=30)


def _kept(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(value)


Kept = Annotated[timedelta, BeforeValidator(_kept)]


def _origins(value: object) -> tuple[str, ...]:
    return parse_origins(value if isinstance(value, str) else ",".join(TypeAdapter(list[str]).validate_python(value)))


# Not JSON, as variables of this kind would be read otherwise.
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]


class ClientSettings(BaseSettings):
    """What callers need. Each field is the variable `DATAQUEUE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="DATAQUEUE_", extra="ignore", frozen=True, env_ignore_empty=True)

    api_url: str = Field("http://127.0.0.1:8000", description="Where the command line and clients find the API.")
    api_key: SecretStr | None = Field(None, description="Key that the command line and clients send.")


class Settings(ClientSettings):
    """What every process of a deployment has in common."""

    url: SecretStr | None = Field(
        None, description="Storage, postgresql://…, redis://… or unix://…; unset: the embedded server."
    )
    backend: Backend = Field(Backend.POSTGRES, description="Which server is embedded while `url` is unset.")
    listen_url: SecretStr | None = Field(
        None, description="Where hints are heard when `url` goes through a pooler that loses them; unset: `url`."
    )
    home: Path = Field(Path("~/.local/share/dataqueue"), description="Where the embedded server keeps its data.")
    pg_bin: Path | None = Field(None, description="Folder of postgres and initdb for the embedded PostgreSQL.")
    redis_bin: Path | None = Field(None, description="Folder of redis-server or valkey-server for the embedded Redis.")
    namespace: str = Field("default", description="Namespace a worker serves.")
    imports: str = Field("", validation_alias="DATAQUEUE_IMPORT", description="Handler modules, separated by commas.")
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port the API listens on; 0: a free one.")
    public_url: str | None = Field(None, description="Base of the URLs we hand out; unset: the request's own.")
    open_access: bool = Field(False, description="Answer without a key, on a loopback address only (`dataqueue dev`).")
    cors_origins: Origins = Field((), description="Origins whose pages may call the API, separated by commas.")
    metrics_open: bool = Field(False, description="Answer /metrics of the API without a key.")
    max_body_bytes: int = Field(1 << 20, ge=1024, description="Largest request body.")
    max_batch_bytes: int = Field(16 << 20, ge=1024, description="Largest body of a batch.")
    max_payload_bytes: int = Field(256 << 10, ge=64, description="Largest payload of a job.")
    max_streams: int = Field(1000, ge=1, description="Event streams that one API process keeps open.")
    pool_size: int = Field(10, ge=2, description="Connections of one API process to the storage.")
    keep_completed: Kept = Field(_MONTH, description="How long completed jobs are kept.")
    keep_failed: Kept = Field(_MONTH, description="How long failed jobs are kept.")
    keep_cancelled: Kept = Field(_MONTH, description="How long cancelled jobs are kept.")
    keep_tokens: Kept = Field(_MONTH, description="How long ended tokens are kept that belong to no job.")
    keep_events: Kept = Field(_MONTH, description="How long events are kept, by whole days.")
    max_crashes: int = Field(3, ge=0, le=100, description="Lost leases after which a job fails as `crashed`.")

    @property
    def retention(self) -> Retention:
        return Retention(completed=self.keep_completed, failed=self.keep_failed, cancelled=self.keep_cancelled)

    @property
    def home_folder(self) -> Path:
        return self.home.expanduser().absolute()

    @property
    def import_list(self) -> tuple[str, ...]:
        return tuple(name for name in (part.strip() for part in self.imports.split(",")) if name)


class WorkerSettings(Settings):
    """What a worker adds."""

    concurrency: int = Field(50, ge=1, le=10_000, description="Jobs that one process runs at a time.")
    processes: int = Field(1, ge=1, le=256, description="Worker processes.")
    lease_seconds: float = Field(
        30, ge=3, le=86_400, description="Length of a lease; a heartbeat comes every third of it."
    )
    poll_seconds: float = Field(2, gt=0, le=60, description="Slowest look for work when no hint arrives.")
    drain_seconds: float = Field(25, ge=0, description="How long running jobs may finish after SIGTERM.")

    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="Port where the first process serves /metrics, each further one the next; unset: nowhere."
    )
    metrics_host: str = Field("127.0.0.1", description="Address where worker processes serve /metrics, to everybody.")

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)
