"""An `async def` handler with a pydantic payload."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage

from pydantic import BaseModel, Field

from dataqueue import JobContext, handler
from examples.outbox import keep


class Email(BaseModel):
    """A payload that does not fit fails its job once, as `invalid_payload`: trying again would not mend it."""

    to: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    subject: str = Field(max_length=200)
    body: str = ""


@handler("send_email")
async def send_email(email: Email, ctx: JobContext) -> dict[str, str]:
    """Put an email into a folder. It is named by the job, so that running twice sends it once."""
    message = EmailMessage()
    message["To"], message["Subject"] = email.to, " ".join(email.subject.split())
    message["Message-ID"] = f"<{ctx.job.id}@dataqueue.example>"
    message.set_content(email.body)
    file = await asyncio.to_thread(keep, f"{ctx.job.id}.eml", bytes(message))
    return {"file": str(file)}
