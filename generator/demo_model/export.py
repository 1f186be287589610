"""Write the trained parts as a Stable Diffusion folder that the stock pipeline loads."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline

from generator.demo_model.denoiser import Training, build_scheduler


def export(vae: AutoencoderTiny, training: Training, folder: Path) -> None:
    """Save averaged weights in float16: model_index.json, unet, vae, text_encoder, tokenizer, scheduler."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=training.averaged["text_encoder"].to(memory_format=torch.contiguous_format),
        tokenizer=training.tokenizer,
        unet=training.averaged["unet"].to(memory_format=torch.contiguous_format),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.rmtree(folder / part, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    # AutoencoderTiny writes a key into its configuration that it then warns about when it reads it.
    config = folder / "vae" / "config.json"
    kept = {key: value for key, value in json.loads(config.read_text()).items() if key != "block_out_channels"}
    config.write_text(json.dumps(kept, indent=2) + "\n")
