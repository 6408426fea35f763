"""From an error to the sentence a user reads and the exit code a script sees."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

USAGE: Final = 2
"""Exit code: the command or a setting is wrong, and trying again would not help."""
FAILED: Final = 1


class Refused(Exception):
    """A command that cannot be done as asked; the message says what is wrong and the fix."""

    def __init__(self, message: str, *, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def complain(error: Exception) -> int:
    """Tell the user; an error that nobody foresaw is raised on, with its traceback."""
    sentence, code = _told(error)
    print(f"dataqueue: {sentence}", file=sys.stderr)
    return code


def _told(error: Exception) -> tuple[str, int]:
    from pydantic import ValidationError

    from dataqueue.errors import DataQueueError, Invalid, StorageNotReady
    from workers.discovery import HandlersNotLoaded
    from workers.logs import masked

    match error:
        case Refused():
            return masked(str(error)), error.code
        case ValidationError():
            return _settings_in_words(error), USAGE
        case HandlersNotLoaded() | Invalid() | StorageNotReady():
            return masked(str(error)), USAGE
        case DataQueueError():
            return masked(str(error)), FAILED
    raise error


def _settings_in_words(error: ValidationError) -> str:
    """The first wrong setting, by the name of its variable. Its value is not repeated: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    variable = name if name.isupper() else f"DATAQUEUE_{name.upper()}"
    return f"{variable}: {first['msg'][:1].lower()}{first['msg'][1:]}"
