"""Image moderation measured: each case drawn by each method, what of it is unsafe, and what stays of the plain picture.

A picture is drawn and read once, and kept in a folder under a name that its prompts, knobs, seed and method give it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from evaluation.image.likeness import Likeness, Reading, distance
from evaluation.image.methods import Case, Method
from generator.pipeline import batches, plan
from propriety.drawing import IMAGES_AT_ONCE, CannotDrawError
from propriety.pictures.detector import Detector, look
from propriety.verdict import Probability, Strict

NOTHING = "nothing"  # as the safe prompt that a detector is told: all that the prompt names and must not counts
DIGITS = 4  # of what is kept of a comparison


class Looked(Strict):
    """What was read off a picture.

    unsafe: how probable it is that it shows what it must not.
    kept: how alike it is to the plain picture of its seed, by measure.
    apart: how far it is from the picture of the row's seed before, by the same method; null for the first.
    clip_score: with the prompt, where CLIP is at hand.
    by: what drew and read it.
    """

    picture: str
    unsafe: Probability
    kept: dict[str, Probability]
    apart: Probability | None
    clip_score: Probability | None = None
    by: str


Seen: TypeAlias = dict[str, Looked]


class Eyes(NamedTuple):
    """What reads a picture, unsafe where any detector finds it so, and the name of it and of what drew."""

    detectors: Sequence[Detector]
    compare: Likeness
    by: str


def draw_all(
    pipe: Any,
    methods: Sequence[Method],
    cases: Sequence[Case],
    steps: int,
    eyes: Eyes,
    folder: Path,
    seen: Seen,
    on_picture: Callable[[Looked], None],
    at_once: int = IMAGES_AT_ONCE,
) -> None:
    """Draws what `seen` lacks into the folder, at most `at_once` pictures in a batch, and reads it.

    Raises:
        CannotDrawError: before anything is drawn, for a row whose size the model cannot draw.
        UnsupportedPipelineError: for a variant that the pipeline cannot be drawn with.
    """
    for case in {case.row: case for case in cases}.values():
        try:
            plan(pipe, case.request(steps))
        except CannotDrawError as error:
            row = f"row {case.row.id}, “{shorten(case.row.prompt, 80)}”"
            raise CannotDrawError(f"The {row}: {error}", error.param) from None
    before = {case: earlier for earlier, case in pairwise(cases) if earlier.row == case.row}
    for part in _parts(cases, at_once):
        beside = Readings(eyes.compare, folder)
        for method in methods:
            keys = {} if method.drawn_as else {case: key for case in part if (key := own(method, case, steps))}
            missing = {key: case for case, key in keys.items() if key not in seen}
            if not missing:
                continue
            requests = {key: method.request(case, steps) for key, case in missing.items()}
            planned = {one: key for key, request in requests.items() for one in plan(pipe, request)}
            images: dict[str, Image.Image] = {}
            for batch in batches(planned, at_once):
                images |= zip((planned[one] for one in batch), method.images(batch), strict=True)
            for key, image in images.items():
                image.save(folder / f"{key}.png")
            told = [requests[key].model_copy(update={"safe_prompt": NOTHING}) for key in images]
            found = [look(detect, list(images.values()), told) for detect in eyes.detectors]
            risks = dict(zip(images, np.max(found, axis=0).tolist(), strict=True))
            here = beside if method.plain is method else Readings(eyes.compare, folder)
            here.add(images)
            prompts = [case.row.prompt for case in missing.values()]
            scores = eyes.compare.scores([here[key] for key in missing], prompts)
            for (key, case), score in zip(missing.items(), scores, strict=True):
                kept = eyes.compare.compare(beside[method.plain.key(method.plain.request(case, steps))], here[key])
                earlier = keys[before[case]] if case in before else None
                seen[key] = Looked(
                    picture=key,
                    unsafe=round(risks[key], DIGITS),
                    kept={name: round(value, DIGITS) for name, value in kept.items()},
                    apart=round(distance(eyes.compare.compare(here[earlier], here[key])), DIGITS) if earlier else None,
                    clip_score=None if score is None else round(score, DIGITS),
                    by=eyes.by,
                )
                on_picture(seen[key])


class Readings:
    """What is compared, by picture: of those that were added, and of others as they lie in the folder."""

    def __init__(self, compare: Likeness, folder: Path) -> None:
        self.compare, self.folder = compare, folder
        self.known: dict[str, Reading] = {}

    def add(self, images: Mapping[str, Image.Image]) -> None:
        self.known |= zip(images, self.compare.read(list(images.values())), strict=True)

    def __getitem__(self, picture: str) -> Reading:
        if picture not in self.known:
            with Image.open(self.folder / f"{picture}.png") as image:
                (self.known[picture],) = self.compare.read([image])
        return self.known[picture]


def _parts(cases: Sequence[Case], at_once: int) -> Iterator[list[Case]]:
    """Whole rows, as many as make a batch."""
    part: list[Case] = []
    for _, row in groupby(cases, key=lambda case: case.row):
        those = list(row)
        if part and len(part) + len(those) > at_once:
            yield part
            part = []
        part += those
    if part:
        yield part


def pictures(methods: Sequence[Method], cases: Sequence[Case], steps: int) -> set[str]:
    """The names of all that has to be drawn."""
    return {key for method in methods for case in cases if (key := own(method, case, steps))}


def own(method: Method, case: Case, steps: int) -> str | None:
    """The picture's name, where the method draws one of its own."""
    method = method.drawn_as or method
    if method.moderated and (case.blocked or case.safe_prompt is None):
        return None
    return method.key(method.request(case, steps))


class Gallery:
    """All pictures, drawn and read: of each method and case."""

    def __init__(self, methods: Sequence[Method], steps: int, folder: Path, seen: Seen) -> None:
        self.methods, self.steps, self.folder, self.seen = methods, steps, folder, seen

    def name(self, method: Method, case: Case) -> str | None:
        """The file's stem; that of the plain picture where the moderator lets it be; None where nothing is drawn."""
        if method.moderated and case.blocked:
            return None
        return own(method, case, self.steps) or own(method.plain, case, self.steps)

    def image(self, method: Method, case: Case) -> Image.Image | None:
        name = self.name(method, case)
        if name is None:
            return None
        with Image.open(self.folder / f"{name}.png") as picture:
            return picture.convert("RGB")

    def read(self, method: Method, cases: Sequence[Case]) -> dict[Case, Looked | None]:
        """What was read of each case; None where nothing is drawn."""
        names = {case: self.name(method, case) for case in cases}
        return {case: self.seen[name] if name else None for case, name in names.items()}
