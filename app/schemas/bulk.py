"""What a caller sends to change many jobs, and the answer (contract 1.2, details C19 and C20)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.schemas import examples
from app.schemas.changing import EditRequest
from app.schemas.enqueue import RequestBody
from app.schemas.examples import shown
from app.schemas.filters import FilterBody


class BulkRequest(RequestBody):
    """Which jobs to change."""

    model_config = ConfigDict(json_schema_extra=shown(examples.BULK))

    filter: FilterBody
    dry_run: bool = Field(False, description="Only say how many jobs match.")


class BulkEditRequest(BulkRequest):
    """Which jobs to edit, and their new values."""

    model_config = ConfigDict(json_schema_extra=shown(examples.BULK_EDIT))

    updates: EditRequest = Field(
        description="What PATCH of one job takes; at least one value.", json_schema_extra={"minProperties": 1}
    )


class BulkChanged(BaseModel):
    """What became of a bulk change."""

    model_config = ConfigDict(json_schema_extra=shown(examples.BULK_CHANGED))

    matched: int = Field(description="Jobs that fit the filter and whose status permits the change.")
    changed: int = Field(description="Those of them that were changed; 0 in a dry run.")
