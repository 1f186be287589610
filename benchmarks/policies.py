"""What each further policy costs a service that is asked under it: `python -m benchmarks.policies`."""

from __future__ import annotations

import asyncio
import time

import psutil
import typer

from agent.retrieval.encoder import load_encoder
from agent.retrieval.rulebook import Rulebook
from agent.terminal.loading import read_settings
from benchmarks.asking import heading, megabytes, row

SHOWN = 15


async def use_all(book: Rulebook) -> None:
    """Print a row at the first policy, at each fifteenth, and at the last."""
    process, last = psutil.Process(), len(book.policies)
    heading("policies in use", "memory MB", "ms for the last")
    row(0, megabytes(process.memory_info().rss), "")
    for count, policy in enumerate(book.policies.values(), 1):
        start = time.perf_counter()
        await book.under(policy)
        if count in (1, last) or count % SHOWN == 0:
            row(count, megabytes(process.memory_info().rss), f"{(time.perf_counter() - start) * 1000:.0f}")


def main() -> None:
    """Print memory and time while the policies of `policies/` are used for the first time, one after the other."""
    settings = read_settings()
    asyncio.run(use_all(Rulebook(settings.policies_dir, settings.data_dir, load_encoder(settings.encoder))))


if __name__ == "__main__":
    typer.run(main)
