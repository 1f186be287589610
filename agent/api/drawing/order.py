"""What a backend is asked to draw, and what it answers: the client's side of the generator, whichever draws."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence

from pydantic import Field

from propriety.verdict import Knobs, Probability, Strict, Verdict

MAX_SEED = 2**32 - 1  # the i-th picture takes seed + i

MAX_PIXELS = 4096 * 4096  # of a backend's picture: what is decoded takes four bytes for each

PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


class Order(Strict):
    """n pictures of one verdict that draws; the fields are those of the worker's `POST /v1/draw`."""

    prompt: str
    safe_prompt: str
    wxi: Probability
    tau_gc: Probability
    stronger: list[Knobs]
    verdict_id: str
    policy_version: str
    n: int = Field(ge=1)
    seed: int = Field(ge=0, le=MAX_SEED)
    width: int | None = None
    height: int | None = None

    @classmethod
    def under(cls, verdict: Verdict, n: int, seed: int, size: tuple[int, int] | None) -> Order:
        """What the verdict lets be drawn; it is no block. Without a size in pixels, the model's own is drawn."""
        width, height = size or (None, None)
        return cls.model_validate(
            {**verdict.for_the_generator(), "n": n, "seed": seed, "width": width, "height": height}
        )


class Parameters(Strict):
    """How one picture was really drawn; null is what a backend does not say."""

    prompt: str = Field(description="What the picture shows: the safe prompt, where one was drawn.")
    wxi: Probability = Field(description="w_ξ, weight of the safe branch while both are drawn.")
    tau_gc: Probability = Field(description="τ_gc, fraction of the steps in which both are drawn.")
    fused_steps: int = Field(ge=0, description="Steps in which the original prompt took part.")
    denoiser_rows: int | None = Field(
        ge=0, description="Rows of the denoiser's batch that it took, over all steps: its cost."
    )
    seed: int | None = Field(ge=0, description="Draws the same picture again, as a request's `seed`.")
    steps: int | None = Field(ge=1, description="Steps of the sampler.")
    guidance_scale: float | None = Field(description="Weight of classifier-free guidance; 1 is unguided.")
    width: int = Field(ge=1, description="Pixels.")
    height: int = Field(ge=1, description="Pixels.")
    sampler: str | None = Field(
        description="`ddim` or `euler`; `own`, of a model that matches flows; another backend's word for its own."
    )
    model: str = Field(description="The model that drew.")


class Drawn(Strict):
    """Image, parameters and notes of the same index belong together."""

    images: list[str | None] = Field(description="Base64 PNGs; null where the last look blocked the picture.")
    parameters: list[Parameters]
    notes: list[list[str]]


def drawn_alone(
    order: Order,
    images: list[str],
    *,
    seeds: Sequence[int] | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    sampler: str | None = None,
    model: str,
) -> Drawn:
    """The answer of a backend that was given the safe prompt alone: w_ξ = 1.

    Raises:
        ValueError: where an image is no base64 PNG, or has more than `MAX_PIXELS`.
    """
    each: Sequence[int | None] = seeds or [None] * len(images)
    parameters = []
    for image, seed in zip(images, each, strict=True):
        width, height = _size(image)
        parameters.append(
            Parameters(
                prompt=order.safe_prompt, wxi=1, tau_gc=0, fused_steps=0, denoiser_rows=None, seed=seed, steps=steps,
                guidance_scale=guidance_scale, width=width, height=height, sampler=sampler, model=model,
            )
        )  # fmt: skip
    return Drawn(images=list(images), parameters=parameters, notes=[[] for _ in images])


def _size(image: str) -> tuple[int, int]:
    """Width and height, which a PNG's first chunk holds."""
    try:
        head = base64.b64decode(image[:32], validate=True)
    except binascii.Error as error:
        raise ValueError(f"an image is no base64: {error}") from None
    if not head.startswith(PNG_HEAD):
        raise ValueError("an image is no PNG")
    width, height = struct.unpack(">II", head[16:24])
    if width * height > MAX_PIXELS:
        raise ValueError(f"an image has {width} × {height} pixels, more than {MAX_PIXELS}")
    return width, height
