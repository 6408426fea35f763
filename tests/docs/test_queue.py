"""The Python of docs/queue.md is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from dataqueue.listeners import Listeners

PAGE: Final = (Path(__file__).parents[2] / "docs" / "queue.md").read_text()
BLOCKS: Final = re.findall(r"^<!-- test -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def test_every_block_does_what_the_page_says(database_url: str) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/queue.md", "exec"), names)
    assert await names["main"](database_url) == ["pending", "pending", "cancelled"]
    assert await names["serverless"](database_url) == 2
    queue = names["Queue"].open(database_url)
    await names["beside_a_web_app"](queue)
    names["listen"](queue)
    assert isinstance(queue._listeners, Listeners)
    assert queue._listeners.hears("queue:error")
    await queue.close()
