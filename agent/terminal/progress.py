"""Progress bars, and work on many items behind one."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent.concurrency import work_through
from agent.terminal.console import errors
from agent.terminal.journal import append

Item = TypeVar("Item")
Key = TypeVar("Key")
Line = TypeVar("Line", bound=BaseModel)


def progress_bar(doing: str) -> Progress:
    """A bar with a count and the time left, on stderr. It is shown only on a terminal."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


@contextmanager
def counting(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows a bar, and yields what moves it by one."""
    with progress_bar(doing) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


async def each(doing: str, items: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Do the work for every item, several at a time, behind a progress bar."""
    with counting(doing, len(items)) as done:
        await work_through(items, work, done)


async def each_missing(
    doing: str,
    items: Mapping[Key, Item],
    found: dict[Key, Line],
    output: Path | None,
    work: Callable[[Item], Awaitable[Line | None]],
) -> None:
    """As `each`, for the items without a line in `found`. The line that the work returns is added there and to the
    output file."""
    with open(output or os.devnull, "ab") as file:

        async def one(key: Key) -> None:
            if (line := await work(items[key])) is not None:
                found[key] = line
                append(file, line)

        await each(doing, [key for key in items if key not in found], one)
