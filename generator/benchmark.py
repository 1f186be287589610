"""Times plain and dual calls, next to the rows that each costs: `python -m generator.benchmark`."""

import statistics
import time
from typing import Annotated

import typer

PROMPT, SAFE = "a woman holding a wine glass on a beach", "a woman holding a glass of juice on a beach"
KNOBS = {
    "plain": (0.0, 0.0),
    "w_ξ = 0, τ_gc = .2": (0.0, 0.2),
    "safe prompt alone": (1.0, 0.0),
    **{f"w_ξ = .75, τ_gc = {tau_gc}": (0.75, tau_gc) for tau_gc in (0.1, 0.2, 0.3)},
}


def main(
    model: Annotated[str, typer.Option(help="'demo', a folder in diffusers' layout, or a Hugging Face id.")] = "demo",
    steps: Annotated[int, typer.Option(min=1, max=150, help="Sampler steps.")] = 25,
    repeats: Annotated[int, typer.Option(min=1, help="Calls per line of the table, which shows their median.")] = 5,
    at_once: Annotated[int, typer.Option(min=1, help="Pictures per call.")] = 1,
) -> None:
    """Time one call at a time, alternating the settings, so that a busy machine slows all of them alike."""
    from generator.models import load
    from generator.pipeline import draw_batch, plan
    from propriety.drawing import DrawRequest

    pipe = load(model)
    requests = {
        name: DrawRequest(prompt=PROMPT, safe_prompt=SAFE, wxi=wxi, tau_gc=tau_gc, steps=steps, seed=0)
        for name, (wxi, tau_gc) in KNOBS.items()
    }
    batches = {name: plan(pipe, request) * at_once for name, request in requests.items()}
    rows = {name: draw_batch(pipe, batch)[0].parameters.denoiser_rows or 0 for name, batch in batches.items()}
    seconds: dict[str, list[float]] = {name: [] for name in batches}
    for _ in range(repeats):
        for name, batch in batches.items():
            start = time.perf_counter()
            draw_batch(pipe, batch)
            seconds[name].append(time.perf_counter() - start)
    typer.echo(f"{at_once} picture(s) per call, {steps} steps, {pipe.device}\n")
    typer.echo("| | rows | rows / plain | seconds | seconds / plain |\n|---|---|---|---|---|")
    plain = statistics.median(seconds["plain"])
    for name, count in rows.items():
        median = statistics.median(seconds[name])
        typer.echo(f"| {name} | {count} | {count / rows['plain']:.2f} | {median:.3f} | {median / plain:.2f} |")


if __name__ == "__main__":
    typer.run(main)
