"""The styles: each turns the canvas of a scene into a picture, with seeded grain."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from generator.demo_model.brush import SIZE, SUPERSAMPLING

PAPER = (252, 247, 236)


@dataclass(frozen=True)
class Style:
    """`outlines`: factor for their width. `finish`: turns the canvas, four times larger, into RGB, 64x64."""

    outlines: float
    finish: Callable[[Image.Image, random.Random], Image.Image]


def _cartoon(canvas: Image.Image, rng: random.Random) -> Image.Image:
    return canvas.reduce(SUPERSAMPLING)


def _watercolour(canvas: Image.Image, rng: random.Random) -> Image.Image:
    """Thin paint: the paper shows through unevenly, and colours run into each other."""
    grain = np.random.default_rng(rng.getrandbits(64))
    drops = Image.fromarray(grain.integers(0, 256, (9, 9), dtype=np.uint8))
    wash = drops.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    ran = canvas.filter(ImageFilter.GaussianBlur(0.7 * SUPERSAMPLING)).reduce(SUPERSAMPLING)
    thin = Image.eval(wash, lambda value: 50 + value * 70 // 255)
    return Image.composite(Image.new("RGB", ran.size, PAPER), ran, thin)


def _pixel_art(canvas: Image.Image, rng: random.Random) -> Image.Image:
    """Half as many pixels in each direction, with six shades per channel."""
    small = canvas.reduce(2 * SUPERSAMPLING)
    flat = Image.eval(small, lambda value: round(value / 51) * 51)
    return flat.resize((SIZE, SIZE), Image.Resampling.NEAREST)


STYLES: dict[str, Style] = {
    "cartoon": Style(1.0, _cartoon),
    "watercolour": Style(0.0, _watercolour),
    "pixel art": Style(0.6, _pixel_art),
}
