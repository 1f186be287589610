"""The styles: each makes a picture of the canvas that a scene was drawn on, with seeded grain."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from generator.demo_model.brush import SIZE, SUPERSAMPLING

PAPER = (252, 247, 236)


@dataclass(frozen=True)
class Style:
    """`outlines`: how wide the brush's are. `finish`: the canvas, four times too large, to RGB, 64x64."""

    outlines: float
    finish: Callable[[Image.Image, random.Random], Image.Image]


def _cartoon(canvas: Image.Image, rng: random.Random) -> Image.Image:
    return canvas.reduce(SUPERSAMPLING)


def _watercolour(canvas: Image.Image, rng: random.Random) -> Image.Image:
    """Thinned with water: the paper shows through, unevenly, and colours run into each other."""
    grain = np.random.default_rng(rng.getrandbits(64))
    drops = Image.fromarray(grain.integers(0, 256, (9, 9), dtype=np.uint8))
    wash = drops.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    ran = canvas.filter(ImageFilter.GaussianBlur(0.7 * SUPERSAMPLING)).reduce(SUPERSAMPLING)
    thin = Image.eval(wash, lambda value: 50 + value * 70 // 255)
    return Image.composite(Image.new("RGB", ran.size, PAPER), ran, thin)


def _pixel_art(canvas: Image.Image, rng: random.Random) -> Image.Image:
    """Half as many pixels each way, of six shades a channel."""
    small = canvas.reduce(2 * SUPERSAMPLING)
    flat = Image.eval(small, lambda value: round(value / 51) * 51)
    return flat.resize((SIZE, SIZE), Image.Resampling.NEAREST)


STYLES: dict[str, Style] = {
    "cartoon": Style(1.0, _cartoon),
    "watercolour": Style(0.0, _watercolour),
    "pixel art": Style(0.6, _pixel_art),
}
