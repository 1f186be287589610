"""Fréchet inception distance (FID, Heusel et al. 2017) between drawn pictures and a folder of real ones."""

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

BATCH = 64
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


class Fid:
    """The distance to one reference. It is too large for few pictures, so compare only equal numbers of pictures."""

    def __init__(self, inception: Path, reference: Path, device: Any) -> None:
        """
        Args:
            inception: the Inception network in TorchScript as published by StyleGAN's authors. It takes uint8 pictures
                (n, 3, height, width) and with `return_features` returns (n, 2048).
            reference: folder of at least two pictures.

        Raises:
            OSError: the network or the pictures cannot be read.
        """
        try:
            with warnings.catch_warnings():  # torch deprecates TorchScript, but the network is published in it
                warnings.simplefilter("ignore", DeprecationWarning)
                self.network: Any = torch.jit.load(str(inception)).eval().to(device)
        except (RuntimeError, ValueError) as error:
            raise OSError(f"{inception} is not a TorchScript network: {str(error).strip().splitlines()[0]}") from error
        self.device = device
        files = sorted(path for path in reference.rglob("*") if path.suffix.lower() in SUFFIXES)
        if len(files) < 2:
            raise OSError(f"{reference} contains {len(files)} pictures; a reference needs at least two")
        self.reference = _moments(self._features(_open_all(files)))

    def distance(self, images: Iterable[Image.Image]) -> float:
        """The distance of two or more RGB pictures from the reference, at least 0."""
        (mean1, covariance1), (mean2, covariance2) = self.reference, _moments(self._features(images))
        mixed = np.sqrt(np.clip(np.linalg.eigvals(covariance1 @ covariance2).real, 0, None)).sum()
        traces = np.trace(covariance1) + np.trace(covariance2)
        return max(0.0, float(((mean1 - mean2) ** 2).sum() + traces - 2 * mixed))

    @torch.no_grad()
    def _features(self, images: Iterable[Image.Image]) -> Floats:
        features = []
        for _, same_size in groupby(images, key=lambda image: image.size):
            while part := list(islice(same_size, BATCH)):
                features.append(self._batch(part))
        return np.concatenate(features)

    def _batch(self, images: Sequence[Image.Image]) -> Floats:
        pixels = np.stack([np.asarray(image) for image in images])
        features = self.network(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device), return_features=True)
        array: Floats = features.cpu().double().numpy()
        return array


def _open_all(files: Sequence[Path]) -> Iterable[Image.Image]:
    for file in files:
        with Image.open(file) as image:
            yield image.convert("RGB")


def _moments(features: Floats) -> tuple[Floats, Floats]:
    return features.mean(0), np.asarray(np.cov(features, rowvar=False), dtype=np.float64)
