"""Markdown tables on stdout, and numbers in them."""

from __future__ import annotations

import numpy as np
import typer


def print_head(*cells: object) -> None:
    """Start a table."""
    print_row(*cells)
    typer.echo("|" + "---|" * len(cells))


def print_row(*cells: object) -> None:
    typer.echo(f"| {' | '.join(map(str, cells))} |")


def percentiles_ms(seconds: list[float], *which: int) -> list[float]:
    """Percentiles of durations in seconds, in milliseconds."""
    return [float(value) for value in np.percentile(seconds, which) * 1000]


def megabytes(count: float) -> str:
    """A number of bytes as megabytes."""
    return f"{count / 1e6:.0f}"
