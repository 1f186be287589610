"""Make a model unlearn a concept, for comparison: `python -m evaluation.image.esd "a gun" --output out/no-gun`.

Erased Stable Diffusion (Gandikota et al. 2023, arXiv 2303.07345), variant ESD-x: the cross-attention learns to predict
v(∅) - η · (v*(c) - v*(∅)) for the concept c, where v* is the original model. The training data are the model's own
half-drawn pictures of c. `propriety evaluate image --erased FOLDER` compares the result with the other methods.
"""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from tqdm import tqdm


def erase(pipe: Any, concepts: list[str], *, iterations: int, rate: float, eta: float, batch: int, seed: int) -> None:
    """Fine-tune the pipeline's U-Net in place.

    Args:
        pipe: a Stable Diffusion pipeline in float32.
        concepts: phrases for what is erased; each row of a batch takes a random one.
        iterations: steps of the optimiser.
        rate: learning rate.
        eta: η, how strongly the model is guided away; 1 in the paper.
        batch: half-drawn pictures per step.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    frozen = copy.deepcopy(pipe.unet).requires_grad_(False)
    pipe.unet.requires_grad_(False)
    trained = [p.requires_grad_(True) for name, p in pipe.unet.named_parameters() if "attn2" in name]
    optimiser = torch.optim.Adam(trained, lr=rate)
    nothing = _encoded(pipe, [""] * batch)
    for _ in tqdm(range(iterations), desc="erasing"):
        concept = _encoded(pipe, rng.choices(concepts, k=batch))
        latents, time = _half_drawn(pipe, concept, nothing, rng)
        with torch.no_grad():
            plain = frozen(latents, time, nothing).sample
            target = plain - eta * (frozen(latents, time, concept).sample - plain)
        loss = torch.nn.functional.mse_loss(pipe.unet(latents, time, concept).sample, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pipe.unet.requires_grad_(False)


@torch.no_grad()
def _half_drawn(pipe: Any, concept: Tensor, nothing: Tensor, rng: random.Random) -> tuple[Tensor, Tensor]:
    """Latents of the concept after a random number of the sampler's steps, and the next timestep."""
    steps, scheduler, config = 10, pipe.scheduler, pipe.unet.config
    scheduler.set_timesteps(steps, device=concept.device)
    shape = (len(concept), config.in_channels, config.sample_size, config.sample_size)
    latents = torch.randn(shape, device=concept.device) * scheduler.init_noise_sigma
    until = rng.randrange(steps)
    for time in scheduler.timesteps[:until]:
        plain, guided = pipe.unet(torch.cat([latents] * 2), time, torch.cat([nothing, concept])).sample.chunk(2)
        latents = scheduler.step(plain + 3 * (guided - plain), time, latents).prev_sample
    return latents, scheduler.timesteps[until]


@torch.no_grad()
def _encoded(pipe: Any, texts: list[str]) -> Tensor:
    length = pipe.tokenizer.model_max_length
    ids = pipe.tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
    encoded: Tensor = pipe.text_encoder(ids.to(pipe.device)).last_hidden_state
    return encoded


def main(
    concepts: Annotated[list[str], typer.Argument(help="What to erase, in one or more phrases.")],
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder to write the model to.")],
    model: Annotated[str, typer.Option(help="`demo`, or a Stable Diffusion model: a folder or a hub id.")] = "demo",
    iterations: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 300,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-4,
    eta: Annotated[float, typer.Option(min=0, help="η, how strongly the model is guided away.")] = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Half-drawn pictures per step.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of noise and order.")] = 0,
) -> None:
    """Write a copy of a model from which a concept is erased."""
    from generator.models import load

    pipe = load(model).to(torch.float32)
    erase(pipe, concepts, iterations=iterations, rate=rate, eta=eta, batch=batch, seed=seed)
    pipe.save_pretrained(output)


if __name__ == "__main__":
    typer.run(main)
