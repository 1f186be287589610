"""Writes the trained parts as a Stable Diffusion folder for the stock pipeline."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from generator.demo_model.denoiser import Training, build_scheduler


def export(vae: Any, training: Training, folder: Path) -> None:
    """Save averaged weights in float16: model_index.json, unet, vae, text_encoder, tokenizer, scheduler.

    The text encoder's config declares float32. transformers loads the declared dtype by default, diffusers float32, and
    parts of different dtypes cannot draw together.
    """
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
    # AutoencoderTiny warns about its own key `block_out_channels`; `_name_or_path` is a folder of checkpoints.
    for path in folder.glob("*/config.json"):
        omitted = {"_name_or_path", "block_out_channels"} if path.parent.name == "vae" else {"_name_or_path"}
        config = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in omitted}
        if path.parent.name == "text_encoder":
            config["dtype"] = "float32"
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
