"""Have the embedded model ready on disk, and say how vLLM is started on a model."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from agent.models.convert import convert
from agent.models.fetch import QWEN_CODER_1_5B, EmbeddedModelError, fetch
from agent.settings import EMBEDDED_LLM, Settings

FETCH_AND_CONVERT_GB = 5
# Whole blocks alone are cached: with vLLM's 128 tokens the judge reads on average 64 of a rule's anew for each prompt.
CPU_BLOCK_TOKENS = 32
FEW_CORES = 4


def prepare(models_dir: Path) -> Path:
    """The folder of the embedded model, fetched and converted first where it is not there yet.

    Raises:
        EmbeddedModelError: where the download is broken or the disk too small.
    """
    folder = models_dir / EMBEDDED_LLM
    if folder.exists():
        return folder
    models_dir.mkdir(parents=True, exist_ok=True)
    free_gb = shutil.disk_usage(models_dir).free / 1e9
    if free_gb < FETCH_AND_CONVERT_GB:
        raise EmbeddedModelError(
            f"{models_dir} has {free_gb:.1f} GB free, and the LLM's weights need {FETCH_AND_CONVERT_GB} GB while they "
            "are made (2 GB afterwards). Free some, or set PROPRIETY_MODELS_DIR to a folder on a larger disk."
        )
    parts_dir = models_dir / f"{EMBEDDED_LLM}.parts"
    gguf_file = fetch(QWEN_CODER_1_5B, parts_dir)
    print(f"Converting the LLM to {folder} (about 30 s)", flush=True)
    convert(gguf_file, folder)
    shutil.rmtree(parts_dir)
    return folder


def server_command(settings: Settings, host: str = "127.0.0.1") -> list[str]:
    """The command that serves `settings.llm_model` on `host` and `settings.llm_port` with vLLM, in OpenAI's API."""
    model = settings.llm_model
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(settings.models_dir / model) if model == EMBEDDED_LLM else model]
    command += ["--served-model-name", model, "--host", host, "--port", str(settings.llm_port)]
    command += ["--max-model-len", str(settings.llm_max_model_tokens), "--max-num-seqs", str(settings.llm_max_num_seqs)]
    command += ["--enable-prefix-caching", "--dtype", "bfloat16", "--load-format", "safetensors"]
    return command if _has_gpu() else [*command, "--enforce-eager", "--block-size", str(CPU_BLOCK_TOKENS)]


def server_environment(settings: Settings) -> dict[str, str]:
    """The environment of `server_command`: no usage statistics, and no hub for the embedded model.

    On few cores vLLM computes on all of them: left alone it keeps one for its server, half of a two-core machine. On a
    CPU torch compiles nothing, which would need a C++ compiler beside it: the sampler alone would be compiled.
    """
    chosen = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": str(settings.llm_kv_cache_gib)}
    if settings.llm_model == EMBEDDED_LLM:
        chosen["HF_HUB_OFFLINE"] = "1"
    if not _has_gpu():
        chosen["TORCH_COMPILE_DISABLE"] = "1"
    cores = os.sched_getaffinity(0)
    few = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(cores)))} if len(cores) <= FEW_CORES else {}
    return few | os.environ | chosen


def _has_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None
