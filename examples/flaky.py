"""A handler whose work fails now and then, and says when it is worth another try."""

from __future__ import annotations

from pydantic import BaseModel, Field

from dataqueue import JobContext, Retry, handler


class Call(BaseModel):
    fail_times: int = Field(2, ge=0, le=100)


@handler("flaky_call")
async def flaky_call(call: Call, ctx: JobContext) -> dict[str, int]:
    """Fail the first attempts and succeed after them, as a remote service does that is being restarted.

    `Retry(after=1)` asks for the next attempt in a second. Any other exception waits as the job's own retry
    fields say, a minute and more if it has none.
    """
    if ctx.attempt <= call.fail_times:
        raise Retry(after=1, message=f"the service did not answer attempt {ctx.attempt}")
    return {"attempts": ctx.attempt}
