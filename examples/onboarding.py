"""A durable handler: it waits for days and for a person, holds no worker meanwhile, and does nothing twice."""

from __future__ import annotations

from email.message import EmailMessage

from pydantic import BaseModel, Field

from dataqueue import JobContext, handler
from examples.outbox import keep


class Customer(BaseModel):
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    pause: float = Field(3, gt=0, description="Seconds between the welcome and what follows; days, in real life.")
    approve_within: str = Field("48h", description="How long somebody may take to approve the account.")


@handler("onboard")
async def onboard(customer: Customer, ctx: JobContext) -> None:
    """Welcome a customer, wait a while, ask for approval, open the account.

    After each wait it is called again from its first line. What `ctx.run` and `ctx.create_token` have done before is
    not done again: they return what they returned then.
    """
    await ctx.run("welcome", post, f"{ctx.job.id}-welcome", customer.email, "Welcome", "Good to have you.")
    await ctx.set_progress(25)
    await ctx.wait_for(seconds=customer.pause)

    approval = await ctx.create_token(timeout=customer.approve_within, tags=["approval"])
    await ctx.set_output({"state": "to be approved", "approve_url": approval.callback_url})
    request = f"curl -d approved=yes '{approval.callback_url}'"
    await ctx.run("ask", post, f"{ctx.job.id}-approval", "boss@example.com", f"Approve {customer.email}?", request)
    await ctx.set_progress(50)
    answer = await ctx.wait_for_token(approval)

    if not answer.ok:
        await ctx.set_output({"state": "nobody has approved it in time"})
    elif answer.output != {"approved": "yes"}:
        await ctx.set_output({"state": "refused"})
    else:
        account = await ctx.run("open", post, f"{ctx.job.id}-account", customer.email, "Your account", "It is open.")
        await ctx.set_output({"state": "open", "file": account})
    await ctx.set_progress(100)


def post(name: str, to: str, subject: str, body: str) -> str:
    """Put an email into a folder. Its name is the same whenever the step is repeated, so that it is sent once."""
    message = EmailMessage()
    message["To"], message["Subject"] = to, subject
    message["Message-ID"] = f"<{name}@dataqueue.example>"
    message.set_content(body, cte="7bit")  # a URL stays in one line
    return str(keep(f"{name}.eml", bytes(message)))
