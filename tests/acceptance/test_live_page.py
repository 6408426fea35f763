"""`examples/live.html` in a real browser: a page of another origin follows the jobs of a real API and a real worker."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.acceptance.browsing import SOON, Witness, browsing, in_a_browser, site
from tests.acceptance.notes import Notes
from tests.acceptance.processes import ROOT, Process
from tests.acceptance.services import Api, Worker

pytestmark = in_a_browser
MARKUP: Final = "<img src=x onerror=\"document.title='run'\">"
HOSTILE: Final = [MARKUP, "\"'><script>document.title='run'</script>", "' onmouseover='x", "&lt;b&gt;", "{{7*7}}"]
EVENT: Final = {"id": "7", "event": "job:failed", "at": "2026-11-24T12:00:00Z", "attempt": 1, "will_retry": False}


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the page comes from."""
    with site(ROOT / "examples") as origin:
        yield origin


@pytest.fixture(scope="module")
def api(database: str, place: Path, origin: str) -> Iterator[Api]:
    """An API that lets that page call."""
    with Api(database, log=place / "api.log", cors_origins=origin) as served:
        served.until_ready()
        yield served


@pytest.fixture(scope="module")
def browser(api: Api) -> Iterator[Browser]:
    # After the API, whose database is made by an event loop in this thread.
    with browsing() as browser:
        yield browser


@pytest.fixture
def witness(browser: Browser, origin: str, api: Api) -> Iterator[Witness]:
    """A new window; whatever it did, it asked nobody but its own site and the API, and nothing went wrong in it."""
    with browser.new_context() as context:
        context.set_default_timeout(SOON)
        witness = Witness(context.new_page())
        yield witness
        assert witness.complaints == []
        assert len(witness.asked_of(origin)) == 1
        of_others = [url for url in witness.asked if not url.startswith((f"{origin}/", "http://127.0.0.1:", "data:"))]
        assert of_others == []


@pytest.fixture
def page(witness: Witness, origin: str, api: Api) -> Page:
    """The page, connected."""
    return opened(witness.page, origin, api.url)


def opened(page: Page, origin: str, api_url: str, **fragment: str) -> Page:
    rest = "".join(f"&{name}={value}" for name, value in fragment.items())
    page.goto(f"{origin}/live.html#api={api_url}{rest}")
    says(page, "Connected")
    return page


def says(page: Page, state: str) -> None:
    """Wait until the page says how it stands with the API."""
    expect(page.get_by_role("status")).to_have_text(state)


def port_of(api: Api) -> int:
    return int(api.url.rpartition(":")[2])


def row(page: Page, job_id: str) -> Locator:
    return page.locator(f"tr[data-job='{job_id}']")


def reaches(page: Page, job_id: str, status: str) -> Locator:
    """Wait until the page shows the job as such; its row."""
    found = row(page, job_id)
    expect(found.get_by_role("cell").first).to_contain_text(status)
    return found


def counted(page: Page) -> dict[str, int]:
    """How many events of each name the page has heard, those without any left out."""
    lines = (line.split() for line in page.locator("#counters div").all_inner_texts())
    return {name.removeprefix("job:"): int(number) for name, number in lines if number != "0"}


def test_the_page_shows_a_job_from_start_to_end(page: Page, api: Api, database: str, notes: Notes) -> None:
    go_ahead = notes.file.with_name("go_ahead")
    job_id = api.enqueue("waits", {"file": str(go_ahead)}, tags=["customer:42"])
    shown = reaches(page, job_id, "pending")
    expect(shown.get_by_role("rowheader")).to_contain_text("waits")
    expect(shown.get_by_text("customer:42", exact=True)).to_be_visible()
    with Worker(database, notes):
        reaches(page, job_id, "processing")
        go_ahead.touch()
        shown = reaches(page, job_id, "completed")
    expect(shown.get_by_role("cell").nth(1)).to_have_text("1")
    expect(shown.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    assert counted(page) == {"added": 1, "processing": 1, "completed": 1}


def test_what_people_write_is_shown_as_text_and_runs_nothing(page: Page, api: Api, database: str, notes: Notes) -> None:
    job_id = api.enqueue("rejects", {"message": MARKUP}, tags=HOSTILE)
    with Worker(database, notes):
        shown = reaches(page, job_id, "failed")
    assert shown.locator(".tag").all_inner_texts() == HOSTILE
    expect(shown.get_by_role("rowheader").locator("small")).to_have_text(MARKUP)
    assert_nothing_ran(page)


def test_not_even_the_api_can_put_markup_into_the_page(witness: Witness, origin: str, api: Api) -> None:
    """It admits no such types and ids; the page does not rely on that."""
    hostile = EVENT | {"job_id": MARKUP, "job_type": MARKUP, "tags": HOSTILE, "attempt": MARKUP, "message": MARKUP}
    # Sent once: the streams that follow are empty.
    bodies = [f"id: 7\nevent: job:failed\ndata: {json.dumps(hostile)}\n\n"]

    def answer(route: Route) -> None:
        headers = {"access-control-allow-origin": origin, "content-type": "text/event-stream"}
        route.fulfill(headers=headers, body=bodies.pop() if bodies else ": nothing\n\n")

    page = witness.page
    page.route("**/v1/events?ticket=*", answer)
    page.goto(f"{origin}/live.html#api={api.url}")
    shown = page.locator("tbody tr")
    expect(shown.get_by_role("rowheader")).to_contain_text(MARKUP)
    expect(shown.get_by_role("cell").nth(1)).to_have_text(MARKUP)
    assert_nothing_ran(page)


def assert_nothing_ran(page: Page) -> None:
    assert page.locator("tbody").locator("img, script, b, [onmouseover]").count() == 0
    assert page.title() == "DataQueue live"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_restart_of_the_api_the_page_goes_on_where_it_was(
    witness: Witness, origin: str, database: str, notes: Notes, how: signal.Signals
) -> None:
    page, place = witness.page, notes.file.parent
    go_ahead = place / f"go_ahead_after_{how.name}"
    log = place / f"api_{how.name}.log"
    with ExitStack() as stack:
        other = stack.enter_context(Api(database, log=place / f"other_{how.name}.log"))
        first = stack.enter_context(Api(database, log=log, cors_origins=origin))
        for one in (other, first):
            one.until_ready()
        opened(page, origin, first.url)
        stack.enter_context(Worker(database, notes, name=f"worker_{how.name}"))
        seen = first.enqueue("fine")
        reaches(page, seen, "completed")
        begun = first.enqueue("waits", {"file": str(go_ahead)})
        reaches(page, begun, "processing")
        first.stop(how)
        says(page, "Reconnecting")
        missed = other.enqueue("fine")
        go_ahead.touch()
        other.ended(missed)
        other.ended(begun)
        assert row(page, missed).count() == 0
        stack.enter_context(Api(database, log=log, cors_origins=origin, port=port_of(first))).until_ready()
        says(page, "Connected")
        for job_id in (begun, missed):
            reaches(page, job_id, "completed")
        # When the page shows what came after it, nothing of before is still on its way.
        reaches(page, other.enqueue("fine"), "completed")
    assert counted(page) == {"added": 4, "processing": 4, "completed": 4}
    tickets = [url for url in witness.asked if "?ticket=" in url]
    assert len(set(tickets)) == len(tickets) >= 2, "a ticket serves once"


def test_a_restart_before_the_first_event_loses_none_either(
    witness: Witness, origin: str, database: str, place: Path
) -> None:
    log = place / "api_quiet.log"
    with (
        Api(database, log=place / "other_quiet.log") as other,
        Api(database, log=log, cors_origins=origin) as first,
    ):
        for one in (other, first):
            one.until_ready()
        page = opened(witness.page, origin, first.url)
        first.stop(signal.SIGKILL)
        says(page, "Reconnecting")
        job_id = other.enqueue("fine", delay="1h")
        with Api(database, log=log, cors_origins=origin, port=port_of(first)):
            reaches(page, job_id, "pending")
    assert counted(page) == {"added": 1}


def test_with_a_key_the_page_gets_tickets_and_its_address_keeps_no_key(
    witness: Witness, origin: str, api: Api, database: str, place: Path
) -> None:
    with Process("keys", "create", "--scopes", "read", log=place / "key", settings={"url": database}) as made:
        assert made.exit_code() == 0
        key = re.findall(r"^dq_\S+$", made.said, re.MULTILINE)[0]
    with Api(database, log=place / "api_keys.log", cors_origins=origin, open_access=False) as closed:
        closed.until_ready()
        page = opened(witness.page, origin, closed.url, key=key)
        assert key not in page.url
        assert not [url for url in witness.asked_of(closed.url) if key in url]
        reaches(page, api.enqueue("fine", delay="1h"), "pending")
        page.get_by_role("button", name="Disconnect").click()
        says(page, "Not connected")
        page.get_by_label("Key").fill(f"{key}x")
        page.get_by_role("button", name="Connect", exact=True).click()
        says(page, "Refused")
        expect(page.get_by_role("alert")).to_contain_text("401: The key is missing, unknown or revoked")


def test_a_page_that_is_not_allowed_is_told_what_to_set(
    witness: Witness, origin: str, database: str, place: Path
) -> None:
    with Api(database, log=place / "api_closed.log") as closed:
        closed.until_ready()
        # The browser's own words, to which the page has nothing to add.
        witness.expected = "blocked by CORS policy"
        witness.page.goto(f"{origin}/live.html#api={closed.url}")
        expect(witness.page.get_by_role("alert")).to_contain_text(f"DATAQUEUE_CORS_ORIGINS={origin}")
        says(witness.page, "Reconnecting")


def test_the_page_fits_a_small_screen_and_names_its_parts(page: Page, api: Api) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    job_id = api.enqueue("a" * 200, tags=["b" * 200, "customer:42"], delay="1h")
    shown = reaches(page, job_id, "pending")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.get_by_role("columnheader", include_hidden=True).all_inner_texts() == [
        "Type",
        "Status",
        "Attempt",
        "Last change",
    ]
    expect(page.get_by_role("table", name="Jobs")).to_be_visible()
    expect(shown.get_by_role("rowheader")).to_be_visible()
    for label in ("Address of the API", "Key"):
        expect(page.get_by_label(label)).to_be_editable()
