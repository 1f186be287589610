"""What the commands share at the terminal: where they print, how they fail, and how long they still take."""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import NoReturn, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from agent.concurrency import work_through
from agent.moderator import Moderator
from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.model import Policy
from agent.policy.source import PolicyError
from agent.settings import Settings
from agent.store.sealing import SealError
from agent.terminal.journal import append
from propriety.verdict import Verdict

Item = TypeVar("Item")
Key = TypeVar("Key")
Line = TypeVar("Line", bound=BaseModel)

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

WRONG, UNUSABLE, BLOCKED, INTERRUPTED = 1, 2, 3, 130

console, errors = Console(), Console(stderr=True)


def fail(reason: object, code: int = UNUSABLE) -> NoReturn:
    """End the command with that exit status, and say why on stderr."""
    errors.print(str(reason), style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code) from None


def read_settings(policies: Path | None = None) -> Settings:
    """The settings, with another folder of policies where one is named; or the end of the command where a variable or
    `propriety.toml` is wrong."""
    try:
        return Settings().model_copy(update={"policies_dir": policies} if policies else {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        fail(f"{name}: {first['msg']}; mend PROPRIETY_{name.upper()}, or {name} in propriety.toml")
    except TOMLDecodeError as error:
        fail(f"propriety.toml: {error}")


def load_moderator(settings: Settings, policies: dict[str, Policy] | None = None) -> Moderator:
    """The moderator, or the end of the command where the policies or the decision log cannot be used."""
    try:
        return Moderator(settings, policies)
    except PolicyError as error:
        fail(error)
    except (OSError, SQLAlchemyError, SealError) as error:
        fail(f"the moderator cannot start: {error}", WRONG)


def read_policies(directory: Path | None, instead: Path | None = None) -> dict[str, Policy]:
    """The policies, or the end of the command where a file is wrong."""
    directory = directory or read_settings().policies_dir
    try:
        load_bank(directory)
        return load_policies(directory, instead)
    except PolicyError as error:
        fail(error, WRONG)


def policy_of(policies: dict[str, Policy], locale: str) -> Policy:
    """The policy of a locale, or of a name that `policy list` gives, or the end of the command where it is wrong."""
    if locale in policies:
        return policies[locale]
    try:
        return lookup(policies, locale)[1]
    except UnknownLocaleError as error:
        fail(error)


def duration(text: str, option: str) -> dt.timedelta:
    """Of a number and a unit, such as 7d; `option` is named where it is none."""
    if not (match := re.fullmatch(r"(\d{1,4})([mhdw])", text)):
        raise typer.BadParameter(f"{text!r} is not a number and m, h, d or w, such as 7d", param_hint=option)
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})


class _Once(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        first = record.msg not in self.said
        self.said.add(record.msg)
        return first


@contextmanager
def noted_once() -> Iterator[None]:
    """Lets each kind of note into the log once: with the LLM gone, every prompt would say so."""
    log, once = logging.getLogger("propriety"), _Once()
    log.addFilter(once)
    try:
        yield
    finally:
        log.removeFilter(once)


def progress_bar(doing: str) -> Progress:
    """A bar with a count and the time left, on stderr, and only where a person watches."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


async def each(doing: str, items: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Do the work for every item, several at a time, behind a progress bar."""
    with progress_bar(doing) as progress:
        task = progress.add_task("", total=len(items))

        async def one(item: Item) -> None:
            await work(item)
            progress.advance(task)

        await work_through(iter(items), one)


async def each_missing(
    doing: str,
    items: Mapping[Key, Item],
    found: dict[Key, Line],
    output: Path | None,
    work: Callable[[Item], Awaitable[Line | None]],
) -> None:
    """As `each`, for the items that `found` has no line of: what the work makes of one goes there and into the file."""
    with open(output or os.devnull, "ab") as file:

        async def one(key: Key) -> None:
            if (line := await work(items[key])) is not None:
                found[key] = line
                append(file, line)

        await each(doing, [key for key in items if key not in found], one)


def print_verdict(verdict: Verdict) -> None:
    """The verdict in a few lines, for people."""
    heading = f"{verdict.action.value.upper()} under {verdict.policy.locale} ({verdict.status.value})"
    console.print(heading, style="bold", markup=False)
    for violation in verdict.violations:
        words = ", ".join(span.text for span in violation.spans)
        console.print(
            f"  {violation.rule_id} ({violation.severity.value}, {violation.confidence:.2f}): {words}", markup=False
        )
    if verdict.message:
        console.print(verdict.message, markup=False)
    if verdict.safe_prompt not in (None, verdict.prompt):
        console.print(
            f"Draw instead: {verdict.safe_prompt} (fidelity {verdict.fidelity:.2f}, w_ξ {verdict.wxi}, "
            f"τ_gc {verdict.tau_gc})",
            markup=False,
        )
