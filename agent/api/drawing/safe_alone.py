"""Responses of backends that take the safe prompt alone, in the worker's form."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence

from propriety.drawing import DrawRequest, DrawResponse, Parameters

MAX_PIXELS = 4096 * 4096  # of one picture: decoding takes four bytes for each pixel

PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def drawn_alone(
    request: DrawRequest,
    images: list[str],
    *,
    seeds: Sequence[int] | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    sampler: str | None = None,
    model: str,
) -> DrawResponse:
    """The response of a backend that was given the safe prompt alone: w_ξ = 1.

    Raises:
        ValueError: an image is not a base64 PNG, or has more than `MAX_PIXELS`.
    """
    parameters = []
    own_seeds: Sequence[int | None] = seeds or [None] * len(images)
    for image, seed in zip(images, own_seeds, strict=True):
        width, height = _size(image)
        parameters.append(
            Parameters(
                prompt=request.final_prompt, wxi=1, tau_gc=0, fused_steps=0, denoiser_rows=None, seed=seed,
                steps=steps, guidance_scale=guidance_scale, width=width, height=height, sampler=sampler, model=model,
            )
        )  # fmt: skip
    return DrawResponse(images=list(images), parameters=parameters, notes=[[] for _ in images])


def _size(image: str) -> tuple[int, int]:
    """Width and height, from the PNG's first chunk."""
    try:
        head = base64.b64decode(image[:32], validate=True)
    except binascii.Error as error:
        raise ValueError(f"an image is not base64: {error}") from None
    if not head.startswith(PNG_HEAD):
        raise ValueError("an image is not a PNG")
    width, height = struct.unpack(">II", head[16:24])
    if width * height > MAX_PIXELS:
        raise ValueError(f"an image has {width} × {height} pixels; the limit is {MAX_PIXELS}")
    return width, height
