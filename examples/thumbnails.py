"""A `def` handler, which runs in a thread, and `Reject` for a job that can never succeed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Final

from PIL import Image
from pydantic import BaseModel, Field

from dataqueue import JobContext, Reject, handler
from examples.outbox import keep

IMAGES: Final = Path(__file__).parent / "images"


class Picture(BaseModel):
    source: str = "harbour.jpg"
    size: Annotated[int, Field(ge=16, le=1024)] = 128


@handler("make_thumbnail")
def make_thumbnail(picture: Picture, ctx: JobContext) -> dict[str, str | int]:
    """Make a small picture of one in `examples/images`."""
    source = (IMAGES / picture.source).resolve()
    # Who may enqueue may not read any file of the worker's.
    if not source.is_relative_to(IMAGES) or not source.is_file():
        raise Reject("there is no such picture in examples/images")
    with Image.open(source) as image:
        image.thumbnail((picture.size, picture.size))
        small = io.BytesIO()
        image.convert("RGB").save(small, "JPEG", quality=85)
        file = keep(f"{ctx.job.id}.jpg", small.getvalue())
        return {"file": str(file), "width": image.width, "height": image.height}
