"""What may name a job type (contract 0): one rule for the wire and for handlers."""

from __future__ import annotations

import re
from typing import Final

NAME_RULE: Final = "1 to 200 letters, digits or characters of . _ : / @ -"
NAME_PATTERN: Final = r"[A-Za-z0-9._:/@-]{1,200}"


def is_name(value: str) -> bool:
    """Whether it follows `NAME_RULE`."""
    return re.fullmatch(NAME_PATTERN, value) is not None
