"""What a handler meets of its step log, and how it is told that it is another handler than before."""

from __future__ import annotations

import pytest

from dataqueue.domain.job import Json
from dataqueue.domain.steps import LARGEST_LOG, LARGEST_STEP, MOST_STEPS, Step, StepKind, StepOutcome
from dataqueue.errors import Invalid, NonDeterministicHandler
from dataqueue.ids import new_id
from dataqueue.replay import Replay

WAITS = (StepKind.SLEEP, StepKind.TOKEN)


def a_step(name: str, kind: StepKind = StepKind.RUN, value: str = "1") -> Step:
    return Step(name=name, kind=kind, outcome=StepOutcome.OK, value=Json(value))


def test_what_is_stored_is_met_by_name() -> None:
    step = a_step("charge")
    replay = Replay([step])
    assert replay.meet("charge", StepKind.RUN) is step
    assert replay.meet("mail", StepKind.RUN) is None


def test_what_was_just_stored_is_part_of_the_log() -> None:
    replay = Replay([])
    replay.add(a_step("charge"), as_kind=StepKind.RUN)
    with pytest.raises(NonDeterministicHandler):
        replay.meet("charge", StepKind.SLEEP)


@pytest.mark.parametrize("name", ["", "x" * 201, "ä", "a\nb", "a\n", "tab\t"])
def test_a_bad_name_is_refused_and_the_rule_told(name: str) -> None:
    with pytest.raises(Invalid, match="the name of a step is 1 to 200 letters"):
        Replay([]).meet(name, StepKind.RUN)


@pytest.mark.parametrize("name", ["a", "x" * 200, "Charge the card: 3/4 @noon_v1.2-b"])
def test_names_may_be_texts(name: str) -> None:
    assert Replay([]).meet(name, StepKind.RUN) is None


def test_a_name_is_used_once_in_an_invocation_whatever_for() -> None:
    replay = Replay([a_step("charge")])
    replay.meet("charge", StepKind.RUN)
    with pytest.raises(Invalid, match="step 'charge' was used twice in one invocation"):
        replay.meet("charge", StepKind.SLEEP)


@pytest.mark.parametrize("found", StepKind)
@pytest.mark.parametrize("stored", StepKind)
def test_another_kind_is_told_with_what_was_expected(stored: StepKind, found: StepKind) -> None:
    replay = Replay([a_step("charge", stored)])
    if found is stored:
        assert replay.meet("charge", found) is not None
        return
    with pytest.raises(NonDeterministicHandler) as caught:
        replay.meet("charge", found)
    calls = {
        StepKind.RUN: "run",
        StepKind.CREATE_TOKEN: "create_token",
        StepKind.SLEEP: "wait_for or wait_until",
        StepKind.TOKEN: "wait_for_token",
    }
    assert str(caught.value) == (
        f"step 'charge': expected {calls[stored]}, as in an earlier invocation of this job, and found {calls[found]}; "
        "put back what was there, or retry the job once code that fits is deployed"
    )


def test_a_wait_for_another_token_is_another_wait() -> None:
    token_id, other = new_id(), new_id()
    step = Step(name="answer", kind=StepKind.TOKEN, outcome=None, token_id=token_id)
    assert Replay([step]).meet("answer", StepKind.TOKEN, token_id=token_id) is step
    with pytest.raises(NonDeterministicHandler, match=f"expected wait_for_token of token {token_id}.* found .*{other}"):
        Replay([step]).meet("answer", StepKind.TOKEN, token_id=other)


def test_what_somebody_else_stored_under_the_name_may_be_of_another_kind() -> None:
    with pytest.raises(NonDeterministicHandler):
        Replay([]).add(a_step("charge", StepKind.CREATE_TOKEN), as_kind=StepKind.RUN)


@pytest.mark.parametrize("new", WAITS)
@pytest.mark.parametrize("old", WAITS)
def test_a_new_wait_before_an_old_one_is_told(old: StepKind, new: StepKind) -> None:
    replay = Replay([a_step("charge"), a_step("day", old)])
    replay.meet("week", new)
    with pytest.raises(NonDeterministicHandler, match=r"expected \w+.* named 'day', .* and found \w+.* named 'week'"):
        replay.check_new_wait("week", new)


def test_a_new_wait_after_the_old_ones_is_none_of_ours() -> None:
    replay = Replay([a_step("day", StepKind.SLEEP)])
    replay.meet("day", StepKind.SLEEP)
    replay.check_new_wait("week", StepKind.SLEEP)


def test_an_old_wait_is_no_new_one() -> None:
    replay = Replay([a_step("day", StepKind.SLEEP), a_step("week", StepKind.SLEEP)])
    replay.check_new_wait("week", StepKind.SLEEP)


def test_steps_may_come_and_go() -> None:
    replay = Replay([a_step("charge"), a_step("token", StepKind.CREATE_TOKEN)])
    replay.meet("mail", StepKind.RUN)
    replay.check_new_wait("week", StepKind.SLEEP)


def test_a_job_has_so_many_steps() -> None:
    replay = Replay(a_step(f"step {n}") for n in range(MOST_STEPS - 1))
    assert replay.meet("one more", StepKind.RUN) is None
    replay.add(a_step("one more"), as_kind=StepKind.RUN)
    assert replay.meet("step 7", StepKind.RUN) is not None
    with pytest.raises(Invalid, match="step 'yet another' is one too many: a job has at most 1000"):
        replay.meet("yet another", StepKind.RUN)


def test_a_result_is_so_large_in_bytes() -> None:
    fits = '"' + "ä" * (LARGEST_STEP // 2 - 1) + '"'
    Replay([]).check_room("charge", fits)
    with pytest.raises(Invalid, match=r"the result of step 'charge' is 262145 bytes of JSON; at most 262144"):
        Replay([]).check_room("charge", fits + " ")


def test_all_results_together_are_so_large() -> None:
    large = "1" * LARGEST_STEP
    replay = Replay(a_step(f"step {n}", value=large) for n in range(LARGEST_LOG // LARGEST_STEP - 1))
    replay.check_room("fits", large)
    replay.add(a_step("fits", value=large), as_kind=StepKind.RUN)
    with pytest.raises(Invalid, match="with step 'more' the steps of this job are more than 4194304 bytes"):
        replay.check_room("more", "1")
