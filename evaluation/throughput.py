"""Pictures per second from a running drawing worker, for one or several callers: `python -m evaluation.throughput`."""

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
    at_once: Annotated[int, typer.Option(min=2, help="Number of callers, one picture each.")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Number of rounds; the table shows the median.")] = 3,
) -> None:
    """Draw the same pictures one by one and at once. Rounds alternate, so that a busy machine slows both equally."""
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
    for callers_at_once, values in rates.items():
        typer.echo(f"| {callers_at_once} | {statistics.median(values):.2f} |")


if __name__ == "__main__":
    typer.run(main)
