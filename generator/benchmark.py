"""Seconds per picture, plain and dual, beside the rows that the method costs: `python -m generator.benchmark`."""

import statistics
import time
from typing import Annotated

import typer

PROMPT, SAFE = "a woman holding a wine glass on a beach", "a woman holding a glass of juice on a beach"


def main(
    model: Annotated[str, typer.Option(help="'demo', a folder in diffusers' layout, or a hub id.")] = "demo",
    steps: Annotated[int, typer.Option(min=1, max=150, help="Sampler steps.")] = 25,
    repeats: Annotated[int, typer.Option(min=1, help="Pictures per row; the table shows the median.")] = 5,
) -> None:
    """Time one picture at a time, the settings in turn, so that a busy machine slows all alike."""
    from generator.pipeline import draw, load
    from generator.schema import DrawRequest

    pipe = load(model)
    requests = [DrawRequest(prompt=PROMPT, steps=steps, seed=0)] + [
        DrawRequest(prompt=PROMPT, safe_prompt=SAFE, wxi=0.75, tau_gc=tau_gc, steps=steps, seed=0)
        for tau_gc in (0.1, 0.2, 0.3)
    ]
    seconds: list[list[float]] = [[] for _ in requests]
    rows = [draw(pipe, [request])[0].parameters.denoiser_rows for request in requests]
    for _ in range(repeats):
        for request, taken in zip(requests, seconds, strict=True):
            start = time.perf_counter()
            draw(pipe, [request])
            taken.append(time.perf_counter() - start)
    typer.echo("| tau_gc | rows | rows / plain | seconds | seconds / plain |\n|---|---|---|---|---|")
    plain = statistics.median(seconds[0])
    for request, count, taken in zip(requests, rows, seconds, strict=True):
        name, median = request.tau_gc or "plain", statistics.median(taken)
        typer.echo(f"| {name} | {count} | {count / rows[0]:.2f} | {median:.3f} | {median / plain:.2f} |")


if __name__ == "__main__":
    typer.run(main)
