"""A small CNN that reads each attribute of a picture, to evaluate what the demo model draws."""

import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from generator.demo_model.brush import SIZE
from generator.demo_model.data import random_scenes, to_model
from generator.demo_model.scenes import ATTRIBUTES, Scene, draw

HYBRID = "hybrid"
LABELS: dict[str, tuple[str, ...]] = {**ATTRIBUTES, "object": (*ATTRIBUTES["object"], HYBRID)}
"""The labels of each attribute. Two objects blended into one are a hybrid."""
WEIGHTS = Path(__file__).parent / "weights" / "classifier.safetensors"


class Classifier(nn.Module):
    """(n, 3, 64, 64) in -1..1 to one row of logits per attribute."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for out in (width, 2 * width, 4 * width, 4 * width):
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(channels * 16, 192), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(192, len(values)) for name, values in LABELS.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.features(pictures)
        return {name: head(features) for name, head in self.heads.items()}


def hybrid(scene: Scene, seed: int, rng: random.Random) -> Image.Image:
    """A scene whose object is half one thing and half another: blended, or cut so that much of both remains."""
    while True:
        others = [name for name in ATTRIBUTES["object"] if name not in (scene.object, "nothing")]
        one, two = draw(scene, seed), draw(replace(scene, object=rng.choice(others)), seed)
        if rng.random() < 0.5:
            return Image.blend(one.image, two.image, rng.uniform(0.4, 0.6))
        left, top, right, bottom = (round(edge) for edge in one.object_box)
        corner = rng.choice([(0, rng.randint(top, bottom), SIZE, SIZE), (rng.randint(left, right), 0, SIZE, SIZE)])
        image = one.image.copy()
        image.paste(two.image.crop(corner), corner[:2])
        if min(_distance(image, one.image), _distance(image, two.image)) > 0.3 * _distance(one.image, two.image):
            return image


def _distance(one: Image.Image, two: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(two, dtype=float)).sum())


def examples(count: int, seed: int, hybrids: float = 0.1) -> tuple[Tensor, dict[str, Tensor]]:
    """New pictures (uint8, (n, 3, 64, 64)) and the label index of each attribute (n,)."""
    rng = random.Random(seed)
    pictures, labels = [], {name: torch.zeros(count, dtype=torch.long) for name in LABELS}
    for row, (scene, number) in enumerate(random_scenes(count, seed)):
        mixed = scene.object != "nothing" and rng.random() < hybrids
        pictures.append(hybrid(scene, number, rng) if mixed else draw(scene, number).image)
        for name, values in LABELS.items():
            labels[name][row] = values.index(HYBRID if mixed and name == "object" else getattr(scene, name))
    return as_tensor(pictures), labels


def as_tensor(pictures: list[Image.Image]) -> Tensor:
    """RGB pictures of any size to uint8, (n, 3, 64, 64)."""
    arrays = [np.array(picture.convert("RGB").resize((SIZE, SIZE))) for picture in pictures]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def _degraded(pictures: Tensor) -> Tensor:
    """Pictures as a decoder may produce them: slightly blurred, noisy, lighter or darker."""
    soft = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    pictures = pictures.lerp(soft, torch.rand(len(pictures), 1, 1, 1) * 0.9)
    pictures = pictures * (1 + 0.1 * torch.randn(len(pictures), 1, 1, 1)) + 0.05 * torch.randn(len(pictures), 3, 1, 1)
    return (pictures + 0.08 * torch.rand(len(pictures), 1, 1, 1) * torch.randn_like(pictures)).clamp(-1, 1)


def train(path: Path, *, scenes: int, epochs: int, seed: int) -> None:
    """Train on newly drawn scenes and save float16 weights."""
    torch.manual_seed(seed)
    pictures, labels = examples(scenes, seed)
    model, batch = Classifier(), 64
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * (scenes // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    started = time.monotonic()
    with tqdm(range(steps), desc="classifier") as bar:
        for _ in bar:
            rows = torch.randint(scenes, (batch,))
            logits = model(_degraded(to_model(pictures[rows])))
            loss = torch.stack([functional.cross_entropy(logits[name], labels[name][rows]) for name in LABELS]).sum()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", seconds=round(time.monotonic() - started))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, path)


def load(path: Path = WEIGHTS) -> Classifier:
    """The trained classifier in float32, on a GPU if there is one."""
    model = Classifier()
    model.load_state_dict(load_file(path))
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


@torch.no_grad()
def probabilities(model: Classifier, pictures: list[Image.Image]) -> dict[str, Tensor]:
    """For each attribute, the probability of each of its `LABELS`, (n, labels)."""
    tensor = to_model(as_tensor(pictures)).to(next(model.parameters()).device)
    return {name: row.softmax(-1).cpu() for name, row in model(tensor).items()}


def read(model: Classifier, pictures: list[Image.Image]) -> list[dict[str, str]]:
    """The most probable label of every attribute, one dictionary per picture: `{"setting": "beach", …}`."""
    likely = {name: row.argmax(-1).tolist() for name, row in probabilities(model, pictures).items()}
    return [{name: LABELS[name][likely[name][row]] for name in LABELS} for row in range(len(pictures))]
