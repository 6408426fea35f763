"""Where the contract says more than an OpenAPI document can: what schemathesis has to be told besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import (
    AllowHeaderMismatch,
    IgnoredAuth,
    RejectedPositiveData,
    UnsupportedMethodResponse,
)

from app.api.not_built import NotBuiltRoute
from app.errors import Code
from app.main import Api
from dataqueue.domain.keys import TICKET_PREFIX
from tests.api.line_by_line import NDJSON, rejected

# What the service says of requests that its document allows, and why the document cannot forbid them.
BEYOND_A_SCHEMA: Final = {
    r"must be an integer": "details B7: types are strict; to a schema 3.0 is an integer too",
    r"must be at most 100 years": "durations: their units are added up",
    r"must be a positive duration": "durations: their units are added up",
    r"must be at most 60 seconds": "details C18: the same for `wait`",
    r"must lie between the years 2000 and 2200": "an offset may carry the first or last hours of them out of them",
    r"means nothing without tags": "details C19; said by dependentRequired, which schemathesis does not heed",
    r"must hold at least one new value": "details C20: null for a field that is not available yet is no value",
    r"is not a cursor of this list with these filters": "details B15: a cursor is opaque, and good for its list only",
    r"holds a NUL character, which cannot be stored": "contract 0: NUL anywhere in a payload of any shape is a 422",
    r"holds NUL, NaN or an infinite number": "the same, where another field is at fault too",
}
EVENTS: Final = "/v1/events"
CALLBACK: Final = "/v1/tokens/{token_id}/callback"
_AGREED: Final = re.compile("|".join(BEYOND_A_SCHEMA))
_FAULTS_OF_OURS: Final = frozenset({Code.INTERNAL_ERROR, Code.STORAGE_REFUSED, Code.STORAGE_UNAVAILABLE})


def agree(schema: schemathesis.BaseSchema, app: Api, *, callback_urls: Sequence[str]) -> None:
    """Have its run keep to what is agreed. `callback_urls`: of tokens that there are."""
    schema.hook("map_case")(as_a_caller_means_it)
    schema.hook("map_case")(by_one_of(callback_urls))
    schema.hook("before_add_examples")(as_callers_mean_them)
    schema.hook("filter_failure")(unless_agreed(app))


def as_a_caller_means_it(_: HookContext, case: Case) -> Case:
    """Good data without what makes no sense together, or nearly all of it would be refused for that and prove nothing.

    One idempotency key (details C10), one meaning of `run_at` and of `created_at`, no `tag_mode` without `tags` (C19),
    and no cursor and no position, since good ones cannot be made up (B15, A11).
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    subject = getattr(case.meta.phase.data, "parameter", None)
    if isinstance(case.body, dict) and "idempotency_key" in case.body and "idempotency-key" in case.headers:
        if str(subject).lower() == "idempotency-key":
            case.body = {name: value for name, value in case.body.items() if name != "idempotency_key"}
        else:
            del case.headers["idempotency-key"]
    absurd = {name for name in ("run_at", "created_at") if f"{name}[eq]" in case.query}
    absurd |= {"cursor"} - {subject}
    if case.operation.path == EVENTS:
        if subject != "after" and case.query.get("after") not in ("now", "start"):
            absurd |= {"after"}
        if str(subject).lower() != "last-event-id":
            case.headers.pop("last-event-id", None)
    # An empty list is not sent.
    absurd |= set() if case.query.get("tags") else {"tag_mode"}
    for name in absurd & set(case.query):
        del case.query[name]
    return case


def by_one_of(callback_urls: Sequence[str]) -> Callable[[HookContext, Case], Case]:
    """Good callbacks by a URL that was given out, since a signature cannot be made up (details E5)."""
    given_out = cycle(callback_urls)

    def map_case(_: HookContext, case: Case) -> Case:
        if case.operation.path == CALLBACK and case.meta is not None and case.meta.generation.mode.is_positive:
            url = urlsplit(next(given_out))
            case.path_parameters = {"token_id": url.path.split("/")[-2]}
            case.query = dict(parse_qsl(url.query))
        return case

    return map_case


def as_callers_mean_them(context: HookContext, examples: list[Case]) -> None:
    """The same of cases made of the document's examples, which come another way."""
    examples[:] = [as_a_caller_means_it(context, case) for case in examples]


def _came_by_ticket(case: Case, response: Response) -> bool:
    has_ticket = case.operation.path == EVENTS and str(case.query.get("ticket", "")).startswith(TICKET_PREFIX)
    return has_ticket and response.status_code in (200, 410)


def _code_of(response: Response) -> str:
    return str(response.json()["code"])


def unless_agreed(app: Api) -> Callable[[HookContext, Failure, Case, Response], bool]:
    """Which failures count."""
    to_come = [route for route in app.routes if isinstance(route, NotBuiltRoute)]

    def filter_failure(_: HookContext, failure: Failure, case: Case, response: Response) -> bool:
        match failure:
            case AcceptedNegativeData() if case.media_type == NDJSON:
                # Details C17: a line that is no job is rejected by its number, and the import goes on.
                return not rejected(response)
            # Details K1: a ticket, which an answer before may have given, admits as a key does.
            case AcceptedNegativeData() | IgnoredAuth() if _came_by_ticket(case, response):
                return "authorization" in {name.lower() for name in response.request.headers}
            # Details A11: a position of the log cannot be made up, and one beyond its end is gone.
            case RejectedPositiveData() if case.operation.path == EVENTS and response.status_code == 410:
                return False
            # Details E6: time goes by while it asks.
            case RejectedPositiveData() if response.status_code == 410 and _code_of(response) == Code.TOKEN_EXPIRED:
                return False
            # Details E1: a token may have no job, and its `job_id`, null, is followed into a path all the same.
            case RejectedPositiveData() if not {None, "None"}.isdisjoint((case.path_parameters or {}).values()):
                return False
            case RejectedPositiveData():
                faults: list[Any] = response.json().get("errors", []) if response.status_code == 422 else []
                return not faults or not all(_AGREED.fullmatch(fault["msg"]) for fault in faults)
            # Details K8: an operation that has not been built yet answers 422 `not_available`, and is not documented.
            case UnsupportedMethodResponse():
                return not (response.status_code == 422 and response.json()["code"] == Code.NOT_AVAILABLE)
            case AllowHeaderMismatch():
                here = [route for route in to_come if route.path_regex.match(case.formatted_path)]
                coming = {method for route in here for method in route.methods or ()}
                return bool(failure.missing_methods) or not set(failure.undocumented_methods) <= coming
        return True

    return filter_failure


@schemathesis.check
def import_rejects_no_good_line(_: schemathesis.CheckContext, response: Response, case: Case) -> bool:
    """`positive_data_acceptance` and `not_a_server_error` of each line: the answer as a whole is a 200 either way."""
    if case.media_type != NDJSON or response.status_code != 200:
        return True
    problems = rejected(response)
    assert not [problem for problem in problems if problem["code"] in _FAULTS_OF_OURS], problems
    if case.meta is not None and case.meta.generation.mode.is_positive:
        left = [problem for problem in problems if problem["code"] != Code.ALREADY_EXISTS]
        assert not [problem for problem in left if not _AGREED.search(problem["detail"])], left
    return False
