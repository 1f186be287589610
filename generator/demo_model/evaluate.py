"""How well the demo model draws its prompts, on combinations that are held out of training.

python -m generator.demo_model.evaluate --count 360 --sheet out/demo_model/sheet.png
"""

import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from tqdm import tqdm

from generator.demo_model import classifier
from generator.demo_model.captions import caption
from generator.demo_model.scenes import ATTRIBUTES, Scene, all_scenes

WEIGHTS = Path(__file__).parent / "weights"


def load_pipeline(folder: Path = WEIGHTS) -> Any:
    """The demo model in the stock pipeline, float32, DDIM."""
    pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def balanced_scenes(count: int, seed: int) -> list[Scene]:
    """Held-out combinations, with each object equally often."""
    rng = random.Random(seed)
    pool = all_scenes(held_out=True)
    rng.shuffle(pool)
    by_object = {name: [scene for scene in pool if scene.object == name] for name in ATTRIBUTES["object"]}
    turns = zip(*(itertools.cycle(scenes) for scenes in by_object.values()), strict=True)
    return list(itertools.islice(itertools.chain.from_iterable(turns), count))


def sample(
    pipeline: Any, prompts: list[str], *, steps: int, guidance: float, seed: int, batch: int = 12
) -> list[Image.Image]:
    """One picture per prompt, each with its own seed, so that batching changes nothing."""
    pictures: list[Image.Image] = []
    for start in tqdm(range(0, len(prompts), batch), desc="drawing"):
        part = prompts[start : start + batch]
        generators = [torch.Generator().manual_seed(seed + start + row) for row in range(len(part))]
        pictures += pipeline(part, num_inference_steps=steps, guidance_scale=guidance, generator=generators).images
    return pictures


def contact_sheet(pictures: list[Image.Image], columns: int = 12, zoom: int = 2) -> Image.Image:
    """The pictures side by side, enlarged."""
    side = 64 * zoom
    sheet = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side), "white")
    for index, picture in enumerate(pictures):
        enlarged = picture.resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(enlarged, (index % columns * side, index // columns * side))
    return sheet


def main(
    weights: Annotated[Path, typer.Option(help="The model's folder.")] = WEIGHTS,
    count: Annotated[int, typer.Option(min=1, help="Number of pictures.")] = 360,
    steps: Annotated[int, typer.Option(min=1, help="DDIM steps.")] = 25,
    guidance: Annotated[float, typer.Option(help="Guidance scale.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Seed of the prompts and of the first picture's noise.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="File for a contact sheet (PNG).")] = None,
) -> None:
    """Draw fully specified prompts of held-out combinations, and read every attribute from the pictures."""
    scenes = balanced_scenes(count, seed)
    rng = random.Random(seed)
    prompts = [caption(scene, rng, complete=True) for scene in scenes]
    pictures = sample(load_pipeline(weights), prompts, steps=steps, guidance=guidance, seed=seed)
    seen = classifier.read(classifier.load(weights / "classifier.safetensors"), pictures)
    typer.echo(f"n = {count}, {steps} DDIM steps, guidance {guidance}, seed {seed}")
    for name in ATTRIBUTES:
        right = sum(got[name] == getattr(scene, name) for got, scene in zip(seen, scenes, strict=True))
        typer.echo(f"{name:12} {right / count:.3f}")
        for value in ATTRIBUTES[name]:
            wanted = [getattr(scene, name) == value for scene in scenes]
            got = Counter(labels[name] for labels in itertools.compress(seen, wanted))
            wrong = ", ".join(f"{label} {times}" for label, times in got.most_common() if label != value)
            typer.echo(f"  {value:14} {got[value] / max(1, got.total()):.3f} of {got.total()}  {wrong}")
    if sheet:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(pictures).save(sheet)


if __name__ == "__main__":
    typer.run(main)
