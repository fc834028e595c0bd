"""Pass options that belong together to a command as one object."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


def group(name: str, values: type[Any], *options: Decorator) -> Decorator:
    """Return a decorator that adds options to a command, which gets their values as one parameter.

    Args:
        name: of the parameter.
        values: a dataclass; each of its fields that an option sets has the option's name.
        *options: decorators that click made, in the order in which ``--help`` lists them.
    """
    names = [field.name for field in fields(values)]

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def grouped(**given: Any) -> Any:
            own = {each: given.pop(each) for each in names if each in given}
            return function(**given, **{name: values(**own)})

        command: Function = grouped
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
