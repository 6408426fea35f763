"""What `help()` and editors see of methods that are made of operations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def as_method(method: F, build: Callable[..., Any]) -> F:
    """The method with the operation's parameters after `self`; it keeps the operation's name and docstring."""
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.signature(build)
    parameters = [self, *signature.parameters.values()]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what inspect looks for
    return method
