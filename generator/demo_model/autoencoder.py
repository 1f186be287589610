"""The autoencoder: 64x64 pictures to 8x8x16 latents and back."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from tqdm import tqdm

from generator.demo_model import ranks
from generator.demo_model.data import load_pixels, random_scenes, to_model, weights
from generator.demo_model.scenes import draw

LATENT_CHANNELS, LATENT_SIDE = 16, 8


def build(width: int = 32) -> Any:
    """An untrained autoencoder. Training gives its latents unit variance, so `scaling_factor` is 1."""
    return AutoencoderTiny(
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(1, 2, 2, 2),
        num_decoder_blocks=(2, 2, 2, 1),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


def load(folder: Path) -> Any:
    """The AutoencoderTiny in `folder`, in float32."""
    return AutoencoderTiny.from_pretrained(folder)


def train(
    folder: Path, *, minutes: float, scenes: int, batch: int, rate: float, seed: int, decoder_only: bool = False
) -> None:
    """Train for `minutes` of wall-clock time from the weights in `folder`, if any; the rate decays to 2 %.

    Loss: pixel error (L1 + L2), in which cells of the object count three times, and a term that pulls the latents to
    unit variance. The latents get noise of 0.1.
    """
    rank = ranks.join()
    torch.manual_seed(seed)
    drawn = random_scenes(scenes, seed)
    pictures = load_pixels(drawn)
    grids = torch.stack([weights(draw(scene, s), 64, 3.0, 1.0) for scene, s in drawn]).half()
    model: Any = load(folder) if (folder / "config.json").exists() else build()
    model.train().to(memory_format=torch.channels_last)
    model.encoder.requires_grad_(not decoder_only)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=rate, betas=(0.9, 0.98), weight_decay=1e-3)
    torch.manual_seed(seed + rank)
    started, saved, step = time.monotonic(), time.monotonic(), 0
    with tqdm(total=100, desc="autoencoder", unit="%", disable=rank > 0) as bar:
        while (done := ranks.mean_over_ranks((time.monotonic() - started) / (minutes * 60))) < 1:
            optimiser.param_groups[0]["lr"] = rate * min(1, (step + 1) / 100) * max(0.02, math.cos(done * math.pi / 2))
            rows = torch.randint(len(drawn), (batch,))
            x = to_model(pictures[rows]).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                latents = model.encode(x).latents.float()
                error = model.decode(latents + 0.1 * torch.randn_like(latents)).sample.float() - x
            weight = grids[rows].float().unsqueeze(1)
            loss = ((error.square() + 0.2 * error.abs()) * weight).sum() / (3 * weight.sum())
            mean, variance = latents.mean((0, 2, 3)), latents.var((0, 2, 3))
            (loss + 1e-3 * (mean.square().mean() + (variance - 1).square().mean())).backward()
            ranks.average_gradients(model)
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            if step % 50 == 0:
                bar.n = round(100 * done)
                bar.set_postfix(step=step, dB=f"{decibel(error.detach()):.1f}", std=f"{variance.mean().sqrt():.2f}")
            if rank == 0 and time.monotonic() - saved > 120:
                model.save_pretrained(folder)
                saved = time.monotonic()
    if rank == 0:
        model.save_pretrained(folder)


def decibel(error: Tensor) -> float:
    """Peak signal-to-noise ratio of an error between pictures in -1..1."""
    return 10 * math.log10(4 / float(error.square().mean()))


@torch.no_grad()
def encode(model: Any, pictures: Tensor, batch: int = 128) -> Tensor:
    """Latents of uint8 pictures: float, (n, 16, 8, 8)."""
    return torch.cat([model.encode(to_model(part)).latents for part in torch.split(pictures, batch)])


@torch.no_grad()
def reconstruction(model: Any, pictures: Tensor) -> float:
    """Peak signal-to-noise ratio, in dB, of the reconstructions of uint8 pictures."""
    decoded = model.decode(encode(model, pictures)).sample.clamp(-1, 1)
    return decibel(decoded - to_model(pictures))
