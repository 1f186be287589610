"""Write the trained parts as a Stable Diffusion folder that the stock pipeline loads."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from generator.demo_model.denoiser import Training, build_scheduler


def export(vae: Any, training: Training, folder: Path) -> None:
    """Save averaged weights in float16: model_index.json, unet, vae, text_encoder, tokenizer, scheduler."""
    pipeline: Any = StableDiffusionPipeline(
        vae=vae,
        text_encoder=training.averaged["text_encoder"],
        tokenizer=training.tokenizer,
        unet=training.averaged["unet"],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.rmtree(folder / part, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    # AutoencoderTiny writes a key that it warns about when it reads it; the others name the folder of checkpoints.
    for config in folder.glob("*/config.json"):
        left_out = {"_name_or_path", "block_out_channels"} if config.parent.name == "vae" else {"_name_or_path"}
        kept = {key: value for key, value in json.loads(config.read_text()).items() if key not in left_out}
        config.write_text(json.dumps(kept, indent=2) + "\n")
