"""Memory and time of each further policy that a service uses: `python -m benchmarks.policies`."""

from __future__ import annotations

import asyncio
import time

import psutil
import typer

from agent.retrieval.encoder import load_encoder
from agent.retrieval.rulebook import Rulebook
from agent.terminal.loading import read_settings
from benchmarks.tables import megabytes, print_head, print_row

EVERY = 15  # policies, a row is printed


async def use_all(book: Rulebook) -> None:
    """Print a row after the first policy, after every fifteenth, and after the last."""
    process, last = psutil.Process(), len(book.policies)
    print_head("policies in use", "memory MB", "ms for the last")
    print_row(0, megabytes(process.memory_info().rss), "")
    for count, policy in enumerate(book.policies.values(), 1):
        start = time.perf_counter()
        await book.under(policy)
        if count in (1, last) or count % EVERY == 0:
            print_row(count, megabytes(process.memory_info().rss), f"{(time.perf_counter() - start) * 1000:.0f}")


def main() -> None:
    """Print memory and time while each policy of `policies/` is used for the first time."""
    settings = read_settings()
    asyncio.run(use_all(Rulebook(settings.policies_dir, settings.data_dir, load_encoder(settings.encoder))))


if __name__ == "__main__":
    typer.run(main)
