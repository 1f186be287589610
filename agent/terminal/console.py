"""Where commands print, how they fail, and how they read durations."""

from __future__ import annotations

import datetime as dt
import re
from typing import NoReturn

import typer
from rich.console import Console

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

WRONG, UNUSABLE, BLOCKED, INTERRUPTED = 1, 2, 3, 130  # exit statuses

console, errors = Console(), Console(stderr=True)


def fail(reason: object, code: int = UNUSABLE) -> NoReturn:
    """End the command with that exit status, and print the reason to stderr."""
    errors.print(str(reason), style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code) from None


def duration(text: str, option: str) -> dt.timedelta:
    """The duration that a number and a unit stand for, such as 7d. Errors name `option`."""
    if not (match := re.fullmatch(r"(\d{1,4})([mhdw])", text)):
        raise typer.BadParameter(f"{text!r} is not a number and m, h, d or w, such as 7d", param_hint=option)
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})
