"""The service does what its document says, whatever is sent: thousands of requests made up by schemathesis.

All of its checks, with data that the document allows and data that it forbids, in all of its phases: the examples,
the limits of every field, random requests, and sequences in which one answer feeds the next request.

The requests are the same in each run, but for what the service itself makes up. To look further:

    FUZZ_SEED=$RANDOM FUZZ_REQUESTS=50000 make test ARGS=tests/api/test_schemathesis.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import pytest
import pytest_asyncio
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.engine import Status

from app.main import create_app
from dataqueue.settings import Settings
from dataqueue.storage.opening import open_storage
from tests.api.fuzzing import Seen, fuzzed

LEAST: Final = 5000
SHOWN: Final = 10
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
# The others come from the phases that ask as much as the document gives cause for: more with every operation.
RANDOM: Final = int(os.environ.get("FUZZ_REQUESTS", LEAST * 3 // 5))
OPERATIONS: Final = [
    f"{method.upper()} {path}"
    for path, operations in create_app(Settings()).openapi()["paths"].items()
    for method in operations
]

pytestmark = [
    pytest.mark.timeout(180 + RANDOM // 10),
    # Hypothesis writes down what it sends, and some of that is large on purpose.
    pytest.mark.filterwarnings("ignore:Generating overly large repr:hypothesis.errors.HypothesisWarning"),
    # It takes the random numbers that the service draws beside it, in another thread, for the strategy's.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def seen(another_storage: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What all tests of this module look at: one run."""
    storage = open_storage(another_storage())
    try:
        return await fuzzed(storage, folder=tmp_path_factory.mktemp("fuzzing"), seed=SEED, requests=RANDOM)
    finally:
        await storage.close()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_as_documented(seen: Seen, operation: str) -> None:
    failures = list(seen.failures[operation].values())
    assert not failures, f"{len(failures)} kinds of failure, such as:\n\n" + "\n\n".join(failures[:SHOWN])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_was_asked_for_and_had_something_to_do(seen: Seen, operation: str) -> None:
    answers = {status: count for (label, status), count in seen.answers.items() if label == operation}
    # A 409 as well: the job was there, and had been led elsewhere by all the other requests.
    assert any(200 <= status < 300 or status == 409 for status in answers), answers


def test_nothing_else_was_wrong(seen: Seen) -> None:
    assert seen.errors == []
    assert set(seen.failures) <= set(OPERATIONS)


def test_at_least_five_thousand_requests_were_sent(seen: Seen) -> None:
    assert seen.requests >= LEAST


def test_no_check_and_no_phase_was_left_out(seen: Seen) -> None:
    load_all_checks()
    assert set(seen.checks) == set(CHECKS.get_all_names())
    ran = {phase for phase, status in seen.phases.items() if status in (Status.SUCCESS, Status.FAILURE)}
    assert {"examples", "coverage", "fuzzing", "stateful"} <= ran
