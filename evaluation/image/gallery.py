"""The pictures of an evaluation, and what was measured on each.

A picture is drawn once. Its file is named after its method, prompts, knobs and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from evaluation.image.case import Case
from evaluation.image.methods import Method
from propriety.verdict import Probability, Strict


class Measurement(Strict):
    """What was measured on a picture.

    picture: its file name, without suffix.
    unsafe: the probability that it shows something unsafe.
    kept: similarity to the plain picture of the same seed, by measure.
    apart: distance from the picture of the row's previous seed, by the same method; null for the first seed.
    clip_score: with the prompt; null without CLIP.
    by: the models that drew and measured it.
    """

    picture: str
    unsafe: Probability
    kept: dict[str, Probability]
    apart: Probability | None
    clip_score: Probability | None = None
    by: str


Measurements: TypeAlias = dict[str, Measurement]
"""By picture."""


def own_picture(method: Method, case: Case, steps: int) -> str | None:
    """The picture that is drawn for this method and case; None if nothing is drawn or the plain picture serves."""
    method = method.drawn_as or method
    if method.moderated and (case.blocked or case.safe_prompt is None):
        return None
    return method.key(method.request(case, steps))


def pictures_of(methods: Sequence[Method], cases: Sequence[Case], steps: int) -> set[str]:
    """All pictures that have to be drawn."""
    return {picture for method in methods for case in cases if (picture := own_picture(method, case, steps))}


class Gallery:
    """The drawn and measured pictures, by method and case."""

    def __init__(self, methods: Sequence[Method], steps: int, folder: Path, measurements: Measurements) -> None:
        self.methods, self.steps, self.folder, self.measurements = methods, steps, folder, measurements

    def picture(self, method: Method, case: Case) -> str | None:
        """The plain picture if the moderator allows the prompt; None if it blocks it."""
        if method.moderated and case.blocked:
            return None
        return own_picture(method, case, self.steps) or own_picture(method.plain, case, self.steps)

    def image(self, method: Method, case: Case) -> Image.Image | None:
        """None if the prompt is blocked."""
        picture = self.picture(method, case)
        if picture is None:
            return None
        with Image.open(self.folder / f"{picture}.png") as image:
            return image.convert("RGB")

    def measured(self, method: Method, cases: Sequence[Case]) -> list[Measurement | None]:
        """The measurement of each case; None if it is blocked."""
        pictures = [self.picture(method, case) for case in cases]
        return [self.measurements[picture] if picture else None for picture in pictures]
