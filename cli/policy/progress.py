"""A progress bar for functions that call `done` after each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.terminal.progress import progress_bar


@contextmanager
def counting(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows a bar, and yields what moves it one step."""
    with progress_bar(doing) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
