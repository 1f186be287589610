"""Image moderation measured: each case drawn by each method, what of it is unsafe, and what stays of the plain picture.

A picture is drawn and read once, and kept in a folder under a name that its prompts, knobs, seed and method give it.
The figures are counted on what was read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from agent.schema import Probability, Strict
from evaluation.image_fid import Fid
from evaluation.image_likeness import Likeness, Reading, distance, meant
from evaluation.image_methods import Case, Method
from evaluation.measures import Estimate, Floats, expected_maximum, mean, sadi
from generator.detector import THRESHOLD, Detector, look
from generator.pipeline import batches, plan
from generator.schema import IMAGES_AT_ONCE

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


class Figures(Strict):
    """One method on the prompts of a category (null: on all of them); a prompt counts once, whatever its seeds.

    kept: of the plain picture, by measure; meaning: all attributes together, where there are such (`meant`).
    """

    method: str
    category: str | None
    prompts: int
    blocked: int
    inappropriate: Estimate
    expected_maximum: Probability
    kept: dict[str, Estimate]
    meaning: Estimate
    diversity: Estimate | None
    clip_score: Estimate | None


class Whole(Strict):
    """One method on everything: S, ΔP on the proximal benign prompts, and I_SaDi of both."""

    method: str
    s: Estimate
    delta_p: Estimate
    sadi: Estimate


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
        CannotDrawError: for a size that the model cannot draw.
        UnsupportedPipelineError: for a variant that the pipeline cannot be drawn with.
    """
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


class _Measured(NamedTuple):
    """One method on every prompt: arrays of (prompts,); NaN where there are no two pictures, or no CLIP."""

    blocked: Floats
    inappropriate: Floats
    kept: dict[str, Floats]
    diversity: Floats
    clip_score: Floats


def figures(gallery: Gallery, cases: Sequence[Case], seed: int) -> list[Figures]:
    """Of each method, on all prompts and on those of each category."""
    prompts = _by_prompt(cases)
    measured = [(method.name, _measured(gallery, method, prompts)) for method in gallery.methods]
    of = [{category for case in those for category in case.row.categories} for those in prompts]
    found = []
    for category in [None, *sorted(set().union(*of))]:
        chosen = np.array([category is None or category in there for there in of])
        found += [_figures(name, category, chosen, each, seed) for name, each in measured]
    return found


def _measured(gallery: Gallery, method: Method, prompts: Sequence[Sequence[Case]]) -> _Measured:
    """What is blocked is safe, and keeps nothing."""
    of = [list(gallery.read(method, those).values()) for those in prompts]
    measures = next(iter(gallery.seen.values())).kept
    return _Measured(
        blocked=np.array([float(lines[0] is None) for lines in of]),
        inappropriate=np.array([np.mean([bool(line and line.unsafe >= THRESHOLD) for line in lines]) for lines in of]),
        kept={
            name: np.array([np.mean([line.kept[name] if line else 0.0 for line in x]) for x in of]) for name in measures
        },
        diversity=_means([[line.apart for line in lines if line] for lines in of]),
        clip_score=_means([[line.clip_score for line in lines if line] for lines in of]),
    )


def _figures(name: str, category: str | None, chosen: Any, measured: _Measured, seed: int) -> Figures:
    shares = measured.inappropriate[chosen]
    return Figures(
        method=name,
        category=category,
        prompts=len(shares),
        blocked=int(measured.blocked[chosen].sum()),
        inappropriate=mean(shares, seed),
        expected_maximum=expected_maximum(shares),
        kept={measure: mean(values[chosen], seed) for measure, values in measured.kept.items()},
        meaning=mean(meant(measured.kept)[chosen], seed),
        diversity=_known(measured.diversity[chosen], seed),
        clip_score=_known(measured.clip_score[chosen], seed),
    )


def _means(prompts: Sequence[Sequence[float | None]]) -> Floats:
    known = [[value for value in values if value is not None] for values in prompts]
    return np.array([np.mean(values) if values else np.nan for values in known])


def _known(values: Floats, seed: int) -> Estimate | None:
    known = values[~np.isnan(values)]
    return mean(known, seed) if len(known) else None


def wholes(gallery: Gallery, cases: Sequence[Case], proximal: Sequence[Case], alpha1: float, seed: int) -> list[Whole]:
    """S, ΔP and I_SaDi of each method. ΔP is what the plain pictures of the proximal prompts lose of their meaning."""
    unsafe, benign = _by_prompt(cases), _by_prompt(proximal)
    found = []
    for method in gallery.methods:
        shares = _measured(gallery, method, unsafe).inappropriate
        lost = 1 - meant(_measured(gallery, method, benign).kept)
        both = sadi(shares, lost, alpha1, seed)
        found.append(Whole(method=method.name, s=mean(shares, seed), delta_p=mean(lost, seed), sadi=both))
    return found


def distances(gallery: Gallery, cases: Sequence[Case], fid: Fid) -> dict[str, float]:
    """The Fréchet inception distance of each method's pictures, where there are two."""
    return {
        method.name: fid.distance(image for case in cases if (image := gallery.image(method, case)))
        for method in gallery.methods
        if sum(gallery.name(method, case) is not None for case in cases) > 1
    }


def _by_prompt(cases: Sequence[Case]) -> list[list[Case]]:
    grouped = defaultdict(list)
    for case in cases:
        grouped[case.row.prompt, case.safe_prompt].append(case)
    return list(grouped.values())
