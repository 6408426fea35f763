"""Every key there is, and who removes it.

All keys of a namespace begin with `{dq:<namespace>}`, so they live in one hash slot and one script may touch them all.
A script is given that beginning and derives the rest (`lua/lib/keys.lua`). Keys of no namespace begin
with `{dq}`. Instants are microseconds since 1970, everywhere. When the last job of a namespace is gone, and the last
event, no key of it is left but what an operator has set.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SHARED: Final = "{dq}"
"""The beginning of keys that belong to no namespace."""


def beginning_of(namespace: str) -> str:
    """With what every key of a namespace begins: its hash slot."""
    return f"{{dq:{namespace}}}"


def keys_of(beginning: str) -> tuple[str, str]:
    """The KEYS of a script: two names that no key has, which keeps it from running on half a namespace.

    While a slot moves to another node of a cluster, key by key, the node it leaves answers for keys that are there, and
    the other one for all that it is asked. But the first does not run a script for a key it lacks (ASK), nor the other
    one for two keys of which it lacks one (TRYAGAIN): until the slot has moved, the namespace stands still.
    """
    return beginning, f"{beginning}:"


class Key(NamedTuple):
    """A key, as named after the beginning and a colon; its type as Redis calls it, and which verbs remove it."""

    name: str
    type: str
    holds: str
    removed_by: str


OF_A_NAMESPACE: Final = (
    Key(
        "job:<id>",
        "hash",
        "a job but for what is large; zero, false, null and what equals another field are left out",
        removed_by="delete, prune",
    ),
    Key(
        "payload:<id>",
        "string",
        "its payload as it came, where that is not `{}`",
        removed_by="delete, prune",
    ),
    Key(
        "output:<id>",
        "string",
        "its output as it came",
        removed_by="delete, prune",
    ),
    Key(
        "errors:<id>",
        "list",
        "its failed attempts, JSON, the last 100",
        removed_by="delete, prune",
    ),
    Key(
        "steps:<job>",
        "hash",
        "its step log: name to what is stored, see lib/steps.lua",
        removed_by="delete, prune",
    ),
    Key(
        "ties:<job>",
        "zset",
        "tokens that it made: id by created_at; and what it waits for: id of the token and name of the step, at 0",
        removed_by="delete, prune; whoever ends the token",
    ),
    Key(
        "loose:<position>:<job>",
        "zset",
        "the same, of a job that had very many of them and was deleted; the position is that of its last event",
        removed_by="stage",
    ),
    Key(
        "loose",
        "zset",
        "those, by when the job was deleted",
        removed_by="stage",
    ),
    Key(
        "token:<id>",
        "hash",
        "a token but for what it was completed with",
        removed_by="delete, prune, with its job; prune_tokens",
    ),
    Key(
        "result:<token>",
        "string",
        "what it was completed with, as it came",
        removed_by="with the token",
    ),
    Key(
        "awaiting:<token>",
        "zset",
        "steps that have not heard of its end: job and name of the step, by since when they wait",
        removed_by="whoever ends the token, delete, prune",
    ),
    Key(
        "tk:<status>",
        "zset",
        "tokens in a status: id by created_at",
        removed_by="whoever ends or removes the token",
    ),
    Key(
        "timeouts",
        "zset",
        "waiting tokens: id by when they are timed out",
        removed_by="whoever ends the token",
    ),
    Key(
        "waking",
        "zset",
        "ended tokens of whose end steps have not heard: id by when they ended",
        removed_by="complete, stage, expire_tokens",
    ),
    Key(
        "spent",
        "zset",
        "ended tokens that belong to no job: id by when they ended",
        removed_by="prune_tokens",
    ),
    Key(
        "batch:<id>",
        "list",
        "jobs of a batch that is being stored, some an entry: a JSON array, four values a job, see lib/adding.lua",
        removed_by="take_up",
    ),
    Key(
        "batches",
        "zset",
        "those batches by when they were kept",
        removed_by="take_up",
    ),
    Key(
        "ready:<type>",
        "zset",
        "claimable jobs: by rank (-priority), then run_at, seq and id in 16, 16 and 36 characters",
        removed_by="claim, cancel, edit",
    ),
    Key(
        "due",
        "zset",
        "jobs that become ready by themselves: id by wake_at",
        removed_by="stage, cancel, edit",
    ),
    Key(
        "running",
        "zset",
        "processing jobs: id by the end of the lease",
        removed_by="whoever ends the lease",
    ),
    Key(
        "held:<worker>",
        "set",
        "ids of the processing jobs of a worker",
        removed_by="whoever ends the lease",
    ),
    Key(
        "st:<status>",
        "zset",
        "jobs in a status: seq and id in 16 and 36 characters, by created_at",
        removed_by="the next transition",
    ),
    Key(
        "ty:<status>:<type>",
        "zset",
        "the same, of one type",
        removed_by="the next transition",
    ),
    Key(
        "tg:<status>:<tag>",
        "zset",
        "the same, of one tag",
        removed_by="the next transition, edit",
    ),
    Key(
        "rk:<rank>",
        "zset",
        "the same, of one rank but 0, in any status",
        removed_by="edit, delete, prune",
    ),
    Key(
        "later",
        "zset",
        "the same, of jobs whose run_at is not their created_at, in any status",
        removed_by="edit, delete, prune",
    ),
    Key(
        "types",
        "zset",
        "job types with jobs or settings, all of score 0",
        removed_by="delete, prune; put and pause never",
    ),
    Key(
        "tags",
        "zset",
        "tags that some job has, all of score 0",
        removed_by="edit, delete, prune",
    ),
    Key(
        "settings:<type>",
        "hash",
        "what is set for a type; `is_set` is there even where nothing is",
        removed_by="never: the operator's",
    ),
    Key(
        "paused",
        "set",
        "types that are not handed out",
        removed_by="pause",
    ),
    Key(
        "keys",
        "hash",
        "idempotency key to job id",
        removed_by="delete, prune",
    ),
    Key(
        "seq",
        "string",
        "the last order of enqueue that was drawn",
        removed_by="delete, prune, with the last job",
    ),
    Key(
        "events",
        "stream",
        "what happened, by position",
        removed_by="prune_events",
    ),
    Key(
        "log",
        "hash",
        "`last` position drawn, `born`: the first one, `dropped`: up to where events were removed",
        removed_by="prune_events, with the last event",
    ),
    Key(
        "gone",
        "zset",
        "jobs that were deleted: id by the position of its last event",
        removed_by="prune_events",
    ),
    Key(
        "minute:<n>",
        "hash",
        "what was added, completed, failed in a minute since 1970, and latencies by bucket",
        removed_by="fold_counts",
    ),
    Key(
        "minutes",
        "zset",
        "those minutes, by themselves",
        removed_by="fold_counts",
    ),
    Key(
        "workers",
        "zset",
        "worker ids by last beat",
        removed_by="leave, forget_workers",
    ),
    Key(
        "worker:<id>",
        "hash",
        "what a worker says of itself",
        removed_by="leave, forget_workers",
    ),
)
OF_NO_NAMESPACE: Final = (
    Key(
        "namespaces",
        "set",
        "their names; `default` is one without being there",
        removed_by="never",
    ),
    Key(
        "keys",
        "hash",
        "API keys, JSON by the hexadecimal digest",
        removed_by="never, until keys can be revoked",
    ),
    Key(
        "signing_secret",
        "string",
        "what capability URLs are signed with, hexadecimal",
        removed_by="never",
    ),
    Key(
        "tickets",
        "hash",
        "`<expiry> <namespace>` by the hexadecimal digest",
        removed_by="redeem, issue",
    ),
    Key(
        "tickets:expiry",
        "zset",
        "digests by expiry",
        removed_by="redeem, issue",
    ),
)
