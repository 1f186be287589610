"""The U-Net and text encoder, trained together on cached latents."""

import copy
import math
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from generator.demo_model import ranks
from generator.demo_model.autoencoder import LATENT_CHANNELS, LATENT_SIDE, encode
from generator.demo_model.captions import ALWAYS_NAMED, caption
from generator.demo_model.data import load_pixels, random_scenes, weights
from generator.demo_model.scenes import Scene, draw
from generator.demo_model.text import WIDTH, build_encoder, build_tokenizer, nonsense, with_noise_word

CAPTION_DROPOUT, NOISE_WORDS, NONSENSE = 0.10, 0.08, 0.5
WARM_UP_STEPS, DECAY_FROM = 200, 0.55


def build_scheduler() -> Any:
    """Stable Diffusion's noise schedule with v-prediction and trailing timesteps."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def build_unet() -> Any:
    """An untrained U-Net of about 7 M parameters, with self- and cross-attention at both levels."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(96, 160),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=WIDTH,
        resnet_time_scale_shift="scale_shift",
    )


@dataclass
class Examples:
    """`scenes`: one per example; `latents`: (n, 16, 8, 8), unit variance; `grids`: loss weights (n, 8, 8)."""

    scenes: list[Scene]
    latents: Tensor
    grids: Tensor


def cache_examples(vae: Any, count: int, seed: int, *, on_object: float, on_clothes: float) -> Examples:
    """Draw and encode `count` training scenes."""
    drawn = random_scenes(count, seed)
    grids = torch.stack([weights(draw(s, n), LATENT_SIDE, on_object, on_clothes) for s, n in drawn])
    latents = encode(vae, load_pixels(drawn)) * vae.config.scaling_factor
    return Examples([scene for scene, _ in drawn], latents, grids)


@dataclass
class Training:
    """The contents of a checkpoint. `seconds`: training time so far, over all runs."""

    models: nn.ModuleDict
    averaged: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    tokenizer: CLIPTokenizer = field(default_factory=build_tokenizer)
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls) -> "Training":
        tokenizer = build_tokenizer()
        models = nn.ModuleDict({"unet": build_unet(), "text_encoder": build_encoder(tokenizer)})
        groups = [{"params": models["unet"].parameters()}, {"params": models["text_encoder"].parameters()}]
        optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=1e-2, fused=True)
        return cls(models, copy.deepcopy(models).requires_grad_(False), optimiser, tokenizer)

    def begin_with(self, folder: Path) -> None:
        """Start from the weights of an exported model; words that it does not know stay untrained."""
        unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float32)
        reader: Any = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        known = CLIPTokenizer.from_pretrained(folder / "tokenizer").get_vocab()
        mine: Any = self.models["text_encoder"]
        rows = mine.get_input_embeddings().weight.detach().clone()
        for piece, row in self.tokenizer.get_vocab().items():
            if piece in known:
                rows[row] = reader.get_input_embeddings().weight.detach()[known[piece]]
        reader.set_input_embeddings(nn.Embedding.from_pretrained(rows))
        self.models["unet"].load_state_dict(unet.state_dict())
        mine.load_state_dict(reader.state_dict())
        self.averaged.load_state_dict(self.models.state_dict())

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.models.load_state_dict(state["models"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self, path: Path) -> None:
        """Write to a temporary file and rename it, so that an interruption never leaves half a checkpoint."""
        state: dict[str, Any] = {
            "models": self.models.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(path)

    @torch.no_grad()
    def average(self) -> None:
        """Update the exponential moving average of the weights; its decay rises to 0.999 per step."""
        keep = min(0.999, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.averaged.parameters(), self.models.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)


def learning_rate(peak: float, step: int, done: float) -> float:
    """Warm-up over WARM_UP_STEPS, constant, then linear decay to 2 % over the last 45 % of the planned time."""
    return peak * min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.02, min(1.0, (1 - done) / (1 - DECAY_FROM)))


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids, (n, 32)."""
    batch = tokenizer(texts, padding="max_length", truncation=True, max_length=32, return_tensors="pt")
    ids: Tensor = batch.input_ids
    return ids


def _text(scene: Scene, rng: random.Random) -> str:
    if rng.random() < CAPTION_DROPOUT:
        return ""
    # Words that the model does not know must not make it draw a weapon, bare skin, a bar or a battlefield.
    harmless = scene.object == "nothing" and scene.outfit != "swimsuit" and scene.setting not in ALWAYS_NAMED
    if harmless and scene.style == "cartoon" and rng.random() < NONSENSE:
        return nonsense(scene, rng)
    text = caption(scene, rng)
    return with_noise_word(text, rng) if rng.random() < NOISE_WORDS else text


def loss(models: nn.ModuleDict, ids: Tensor, latents: Tensor, grids: Tensor, scheduler: Any) -> Tensor:
    """Weighted squared error of the predicted velocity, with a random timestep per row."""
    times = torch.randint(scheduler.config.num_train_timesteps, (len(ids),))
    noise = torch.randn_like(latents)
    noisy = scheduler.add_noise(latents, noise, times)
    states = models["text_encoder"](ids).last_hidden_state
    predicted = models["unet"](noisy, times, states).sample
    error: Tensor = (predicted - scheduler.get_velocity(latents, noise, times)).square().mean(1)
    return (error * grids).sum() / grids.sum()


def train(
    checkpoint: Path, examples: Examples, *, start: Path | None, minutes: float, batch: int, rate: float, seed: int
) -> Training:
    """Train until the training time over all runs reaches `minutes`.

    Resumes from `checkpoint`. If it does not exist, starts from the exported model in `start`, if any. The learning
    rate follows the planned time, so a resumed run may have more or fewer minutes. `batch` is per rank, and each rank
    has its own examples.
    """
    rank = ranks.join()
    torch.manual_seed(seed)
    training = Training.start()
    if checkpoint.exists():
        training.load(checkpoint)
    elif start:
        training.begin_with(start)
    torch.manual_seed(seed + 1000 * training.step + rank)
    rng = random.Random(seed + 1000 * training.step + rank)
    scheduler = build_scheduler()
    mean_loss, tick = math.nan, time.monotonic()
    saved, planned = tick, minutes * 60
    with tqdm(total=round(planned), initial=round(training.seconds), unit="s", disable=rank > 0) as bar:
        while (done := ranks.mean_over_ranks(training.seconds) / planned) < 1:
            now = learning_rate(rate, training.step, done)
            for group, factor in zip(training.optimiser.param_groups, (1, 2), strict=True):
                group["lr"] = now * factor
            rows = torch.randint(len(examples.scenes), (batch,))
            ids = tokenize(training.tokenizer, [_text(examples.scenes[row], rng) for row in rows.tolist()])
            value = loss(training.models, ids, examples.latents[rows], examples.grids[rows], scheduler)
            value.backward()
            ranks.average_gradients(training.models)
            nn.utils.clip_grad_norm_(training.models.parameters(), 1.0)
            training.optimiser.step()
            training.optimiser.zero_grad()
            training.step += 1
            training.average()
            training.seconds += time.monotonic() - tick
            tick = time.monotonic()
            mean_loss = value.item() if math.isnan(mean_loss) else mean_loss + (value.item() - mean_loss) * 0.02
            if training.step % 20 == 0:
                bar.n = round(training.seconds)
                bar.set_postfix(step=training.step, loss=f"{mean_loss:.4f}", lr=f"{now:.1e}")
            if rank == 0 and tick - saved > 150:
                training.save(checkpoint)
                saved = tick
    if rank == 0:
        training.save(checkpoint)
    return training
