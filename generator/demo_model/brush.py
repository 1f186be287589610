"""A pen on an enlarged Pillow canvas, which is reduced at the end for smooth edges."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageDraw

SIZE = 64
"""Side of a picture in pixels, the unit of scenes; y points down."""
SUPERSAMPLING = 4
INK = (38, 30, 42)

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Brush:
    """Draws in its own frame: moved to (`x`, `y`), scaled by `scale`, rotated by `angle` radians.

    outlines: factor for the width of all outlines; 0 for none.
    """

    draw: ImageDraw.ImageDraw
    outlines: float = 1.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    angle: float = 0.0

    def at(self, x: float, y: float, scale: float = 1.0, angle: float = 0.0) -> "Brush":
        """The same canvas with another origin, in picture pixels."""
        return replace(self, x=x, y=y, scale=scale, angle=angle)

    def _place(self, points: Sequence[Point]) -> list[Point]:
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        return [
            ((self.x + px * cos - py * sin) * SUPERSAMPLING, (self.y + px * sin + py * cos) * SUPERSAMPLING)
            for px, py in points
        ]

    def polygon(self, points: Sequence[Point], fill: Colour, ink: float = 0.8) -> None:
        """A filled shape; `ink` is the outline's width in pixels, 0 for none."""
        placed = self._place(points)
        self.draw.polygon(placed, fill=fill)
        if width := round(ink * self.outlines * SUPERSAMPLING):
            self.draw.line([*placed, placed[0], placed[1]], fill=INK, width=width, joint="curve")

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Colour, ink: float = 0.8) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill, ink)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, fill: Colour, ink: float = 0.8) -> None:
        steps = 28
        turn = [2 * math.pi * i / steps for i in range(steps)]
        self.polygon([(cx + rx * math.cos(t), cy + ry * math.sin(t)) for t in turn], fill, ink)

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        placed = self._place(points)
        self.draw.line(placed, fill=fill, width=max(1, round(width * self.scale * SUPERSAMPLING)), joint="curve")

    def limb(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A thick line with an outline and round ends, such as an arm or a leg."""
        for colour, wide in ((INK, width + 1.6 * self.outlines), (fill, width)):
            self.line(points, colour, wide)
            for px, py in (points[0], points[-1]):
                self.ellipse(px, py, wide / 2, wide / 2, colour, ink=0)
