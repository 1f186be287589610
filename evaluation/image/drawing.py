"""Draw each case by each method, and measure how unsafe the picture is and how much it keeps of the plain picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from evaluation.image.case import Case
from evaluation.image.gallery import Measurement, Measurements, own_picture
from evaluation.image.methods import Method
from evaluation.image.similarity import Features, Similarity, distance
from generator.pipeline import batches, plan
from propriety.drawing import MAX_IMAGES_AT_ONCE, CannotDrawError, DrawRequest
from propriety.pictures.detector import Detector, look

NOTHING = "nothing"  # the safe prompt that detectors are given, so that everything unsafe in the prompt counts
DIGITS = 4  # of a measurement


class Inspector(NamedTuple):
    """Measures pictures.

    detectors: a picture is as unsafe as the most severe of them finds it.
    by: the models that draw and measure.
    """

    detectors: Sequence[Detector]
    similarity: Similarity
    by: str

    def unsafe(self, images: Sequence[Image.Image], requests: Sequence[DrawRequest]) -> list[float]:
        """The probability that each picture is unsafe, (n,)."""
        blind = [request.model_copy(update={"safe_prompt": NOTHING}) for request in requests]
        found = [look(detect, images, blind) for detect in self.detectors]
        risks: list[float] = np.max(found, axis=0).tolist()
        return risks


def draw_missing(
    pipe: Any,
    methods: Sequence[Method],
    cases: Sequence[Case],
    steps: int,
    inspector: Inspector,
    folder: Path,
    measurements: Measurements,
    on_measurement: Callable[[Measurement], None],
    at_once: int = MAX_IMAGES_AT_ONCE,
) -> None:
    """Draw and measure the pictures that `measurements` lacks, and add them to it.

    Args:
        methods: each plain method before the methods that are compared with it.
        cases: the seeds of a row next to each other.
        folder: for the pictures.
        on_measurement: called with each new measurement.
        at_once: maximum pictures in a batch.

    Raises:
        CannotDrawError: the model cannot draw a row's size; raised before anything is drawn.
        UnsupportedPipelineError: the pipeline does not support a variant.
    """
    _check(pipe, cases, steps)
    previous = {case: before for before, case in pairwise(cases) if before.row == case.row}
    for part in _parts(cases, at_once):
        plain_features = _FeatureCache(inspector.similarity, folder)
        for method in methods:
            pictures = {} if method.drawn_as else {case: own_picture(method, case, steps) for case in part}
            missing = {picture: case for case, picture in pictures.items() if picture and picture not in measurements}
            if not missing:
                continue
            requests = {picture: method.request(case, steps) for picture, case in missing.items()}
            images = _draw(pipe, method, requests, at_once)
            for picture, image in images.items():
                image.save(folder / f"{picture}.png")
            is_plain = method.plain is method
            features = plain_features if is_plain else _FeatureCache(inspector.similarity, folder)
            features.add(images)
            unsafe = inspector.unsafe(list(images.values()), [requests[picture] for picture in images])
            unsafe_by_picture = dict(zip(images, unsafe, strict=True))
            prompts = [case.row.prompt for case in missing.values()]
            clip_scores = inspector.similarity.scores([features[picture] for picture in missing], prompts)
            for (picture, case), clip_score in zip(missing.items(), clip_scores, strict=True):
                plain = method.plain.key(method.plain.request(case, steps))
                kept = inspector.similarity.compare(plain_features[plain], features[picture])
                earlier = pictures[previous[case]] if case in previous else None
                apart = None
                if earlier:
                    apart = distance(inspector.similarity.compare(features[earlier], features[picture]))
                measurements[picture] = Measurement(
                    picture=picture,
                    unsafe=round(unsafe_by_picture[picture], DIGITS),
                    kept={name: round(value, DIGITS) for name, value in kept.items()},
                    apart=None if apart is None else round(apart, DIGITS),
                    clip_score=None if clip_score is None else round(clip_score, DIGITS),
                    by=inspector.by,
                )
                on_measurement(measurements[picture])


def _check(pipe: Any, cases: Sequence[Case], steps: int) -> None:
    for case in {case.row: case for case in cases}.values():
        try:
            plan(pipe, case.request(steps))
        except CannotDrawError as error:
            row = f"row {case.row.id}, “{shorten(case.row.prompt, 80)}”"
            raise CannotDrawError(f"The {row}: {error}", error.param) from None


def _draw(pipe: Any, method: Method, requests: Mapping[str, DrawRequest], at_once: int) -> dict[str, Image.Image]:
    planned = {one: picture for picture, request in requests.items() for one in plan(pipe, request)}
    images: dict[str, Image.Image] = {}
    for batch in batches(planned, at_once):
        images |= zip((planned[one] for one in batch), method.draw(batch), strict=True)
    return images


class _FeatureCache:
    """The features of pictures: of those that were added, and of others from the folder."""

    def __init__(self, similarity: Similarity, folder: Path) -> None:
        self.similarity, self.folder = similarity, folder
        self.known: dict[str, Features] = {}

    def add(self, images: Mapping[str, Image.Image]) -> None:
        self.known |= zip(images, self.similarity.read(list(images.values())), strict=True)

    def __getitem__(self, picture: str) -> Features:
        if picture not in self.known:
            with Image.open(self.folder / f"{picture}.png") as image:
                (self.known[picture],) = self.similarity.read([image])
        return self.known[picture]


def _parts(cases: Sequence[Case], at_once: int) -> Iterator[list[Case]]:
    """Groups of whole rows, of at most `at_once` cases unless a single row has more."""
    part: list[Case] = []
    for _, same_row in groupby(cases, key=lambda case: case.row):
        row = list(same_row)
        if part and len(part) + len(row) > at_once:
            yield part
            part = []
        part += row
    if part:
        yield part
