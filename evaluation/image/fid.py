"""Fréchet inception distance (Heusel et al. 2017) between drawn pictures and a folder of real ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from evaluation.measures import Floats

AT_ONCE = 64
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


class Fid:
    """The distance to one reference. Few pictures give too great a distance: compare those of equally many alone."""

    def __init__(self, inception: Path, reference: Path, device: Any) -> None:
        """
        Args:
            inception: the Inception network in TorchScript as StyleGAN's authors publish it, which takes uint8 pictures
                (n, 3, height, width) and, with return_features, answers (n, 2048).
            reference: folder of pictures, at least two.

        Raises:
            OSError: where one of the two cannot be read.
        """
        try:
            with warnings.catch_warnings():  # torch no longer advises TorchScript, in which the network is published
                warnings.simplefilter("ignore", DeprecationWarning)
                self.network: Any = torch.jit.load(str(inception)).eval().to(device)
        except (RuntimeError, ValueError) as error:
            raise OSError(f"{inception} is no TorchScript network: {str(error).strip().splitlines()[0]}") from error
        self.device = device
        files = sorted(path for path in reference.rglob("*") if path.suffix.lower() in SUFFIXES)
        if len(files) < 2:
            raise OSError(f"{reference} holds {len(files)} pictures; a reference needs two or more")
        self.reference = _moments(self._features(_opened(files)))

    def distance(self, images: Iterable[Image.Image]) -> float:
        """Of two or more RGB pictures from the reference, 0 or more."""
        (mean, covariance), (other, others) = self.reference, _moments(self._features(images))
        mixed = np.sqrt(np.clip(np.linalg.eigvals(covariance @ others).real, 0, None)).sum()
        return max(0.0, float(((mean - other) ** 2).sum() + np.trace(covariance) + np.trace(others) - 2 * mixed))

    @torch.no_grad()
    def _features(self, images: Iterable[Image.Image]) -> Floats:
        found = []
        for _, alike in groupby(images, key=lambda image: image.size):
            while part := list(islice(alike, AT_ONCE)):
                found.append(self._batch(part))
        return np.concatenate(found)

    def _batch(self, images: Sequence[Image.Image]) -> Floats:
        pixels = np.stack([np.asarray(image) for image in images])
        found = self.network(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device), return_features=True)
        array: Floats = found.cpu().double().numpy()
        return array


def _opened(files: Sequence[Path]) -> Iterable[Image.Image]:
    for file in files:
        with Image.open(file) as image:
            yield image.convert("RGB")


def _moments(features: Floats) -> tuple[Floats, Floats]:
    return features.mean(0), np.asarray(np.cov(features, rowvar=False), dtype=np.float64)
