"""Pictures a second from a running drawing worker, one caller and many at once: `python -m evaluation.throughput`."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import httpx
import typer

DUAL = {
    "prompt": "a woman holding a wine glass on a beach",
    "safe_prompt": "a woman holding a glass of juice on a beach",
    "wxi": 0.75,
    "tau_gc": 0.2,
}


def main(
    url: Annotated[str, typer.Option(help="Base URL of the worker.")] = "http://127.0.0.1:8002",
    at_once: Annotated[int, typer.Option(min=2, help="Callers at once, one picture each.")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; the table shows the median.")] = 3,
) -> None:
    """Draw the same pictures in turn and at once, round by round, so that a busy machine slows both alike."""
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as client, ThreadPoolExecutor(at_once) as callers:

        def draw(seed: int) -> None:
            client.post("/v1/draw", json=DUAL | {"seed": seed}).raise_for_status()

        seeds, rates = range(at_once), dict[int, list[float]]()
        draw(0)
        for _ in range(repeats):
            for callers_at_once in (1, at_once):
                start = time.perf_counter()
                list(callers.map(draw, seeds) if callers_at_once > 1 else map(draw, seeds))
                rates.setdefault(callers_at_once, []).append(at_once / (time.perf_counter() - start))
    typer.echo("| callers at once | pictures a second |\n|---|---|")
    for callers_at_once, measured in rates.items():
        typer.echo(f"| {callers_at_once} | {statistics.median(measured):.2f} |")


if __name__ == "__main__":
    typer.run(main)
