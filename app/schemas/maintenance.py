"""What maintenance did (contract 7, details J1 and J3)."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.schemas.examples import shown

_DONE: Final[JsonDict] = {
    "reclaimed_jobs": 0, "expired_tokens": 0, "cleaned_up_jobs": 312, "cleaned_up_events": 0
}  # fmt: skip


class MaintenanceOut(BaseModel):
    """How much was done."""

    model_config = ConfigDict(json_schema_extra=shown(_DONE))

    reclaimed_jobs: int = Field(description="Taken back from workers that have fallen silent.")
    expired_tokens: int = Field(description="Timed out because nobody had completed them.")
    cleaned_up_jobs: int = Field(description="Removed because they had been kept long enough.")
    cleaned_up_events: int = Field(
        description="About how many went: events go by whole days, those of every namespace together."
    )
